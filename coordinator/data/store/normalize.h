// The normal form of a text. It identifies passages, and groups rows without ids.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace muster {

// Unicode NFC; every run of white space (property White_Space) is one space, none at the ends. `text` is UTF-8.
// Letter case, punctuation and accents are kept.
std::string NormalizeText(std::string_view text);

// Identity of a passage: SHA-256 of the normal forms of title and body with one zero byte between them.
using PassageDigest = std::array<uint8_t, 32>;
PassageDigest DigestOfPassage(std::string_view title, std::string_view body);

// The position of the first byte that is not UTF-8, or npos.
size_t FirstInvalidUtf8(std::string_view text);

}  // namespace muster
