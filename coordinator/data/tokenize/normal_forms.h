// Unicode normalization like Hugging Face's tokenizers: ICU's algorithm with the tables of Unicode 9.
#pragma once

#include <string>

namespace muster {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// `text` must be UTF-8.
void Normalize(NormalForm form, std::string& text);

}  // namespace muster
