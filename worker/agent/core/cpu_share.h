// Which processors a rank runs on, where several ranks of an attempt share a host.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace muster {

// The share of slot `slot` of `slots`: as many processors as every other slot's, of which none has one of another's.
// `cpus`: those that the agent may use. Empty, which means that the kernel chooses, where the share would be empty or smaller
// than the rank's `threads`.
inline std::vector<uint32_t> CpusOfSlot(std::span<const uint32_t> cpus, uint32_t slot, uint32_t slots, uint32_t threads) {
  const size_t share = slots == 0 ? 0 : cpus.size() / slots;
  if (share == 0 || share < threads || slot >= slots) return {};
  const auto own = cpus.subspan(slot * share, share);
  return {own.begin(), own.end()};
}

}  // namespace muster
