// Text in HTML pages that `muster` writes. Names, prompts and reasons come from users: they are data, never markup.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace muster {

// `text`, which is UTF-8, as the content of an element or of an attribute in quotes. Characters that a reader would not see,
// or that reverse the order of what follows (control characters, U+202E and the like), become U+FFFD; tabs and line feeds stay.
std::string EscapedHtml(absl::string_view text);

// Whether the character at `begin` is one of those, and how many bytes it takes; 0: it is not.
size_t DeceptiveBytesAt(absl::string_view text, size_t begin);

}  // namespace muster
