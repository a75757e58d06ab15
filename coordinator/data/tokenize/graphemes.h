// User-perceived characters (Unicode's extended grapheme clusters).
#pragma once

#include <cstddef>
#include <string_view>

namespace muster {

// Where the cluster that begins at `text[begin]` ends. `text` must be UTF-8. Clusters of Indic conjuncts may come out
// shorter than in Unicode 15.1; they have more than five bytes either way, and callers only check that.
size_t EndOfGrapheme(std::string_view text, size_t begin);

}  // namespace muster
