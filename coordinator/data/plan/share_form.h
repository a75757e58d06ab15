// Which form of shares and evaluations a rank's build can read.
#pragma once

#include <cstdint>

#include "common/version.h"

namespace muster {

struct ShareForm {
  // rank_counts and gather_slots of StepShare. Their bytes, summed over the ranks, grow with the square of the ranks.
  bool slots_of_all_ranks = false;
  // MicroBatch.narrow_tokens in place of `tokens`, where the tokenizer's ids fit 16 bits.
  bool narrow_tokens = false;
};

// `protocol`: RankIdentity.protocol.
constexpr ShareForm FormForProtocol(uint32_t protocol) {
  return {.slots_of_all_ranks = protocol < kCompactSharesProtocol, .narrow_tokens = protocol >= kCompactSharesProtocol};
}

}  // namespace muster
