#include "coordinator/data/tokenize/tokenizer.h"

#include <algorithm>

namespace muster {

bool Tokenizer::IsSpecial(uint32_t id) const { return std::ranges::binary_search(facts_.special, id); }

}  // namespace muster
