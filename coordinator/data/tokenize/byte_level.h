// GPT-2's bytes: each byte is written as a printable character.
// Source: huggingface/tokenizers, pre_tokenizers/byte_level.rs.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace muster {

// The characters of the 256 bytes, in UTF-8.
const std::array<std::string, 256>& ByteCharacters();

std::string ToByteCharacters(std::string_view bytes);

}  // namespace muster
