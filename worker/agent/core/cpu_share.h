// Which processors a rank runs on if several ranks of an attempt share a host.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace muster {

// The share of slot `slot` of `slots`: equally many processors for each slot, without overlap. `cpus`: those that the
// agent may use. Empty, so that the kernel chooses, if the share would be empty or smaller than the rank's `threads`.
inline std::vector<uint32_t> CpusOfSlot(std::span<const uint32_t> cpus, uint32_t slot, uint32_t slots, uint32_t threads) {
  const size_t share = slots == 0 ? 0 : cpus.size() / slots;
  if (share == 0 || share < threads || slot >= slots) return {};
  const auto of_slot = cpus.subspan(slot * share, share);
  return {of_slot.begin(), of_slot.end()};
}

}  // namespace muster
