#include "worker/rank/evaluate/cut.h"

namespace muster {
namespace {

bool FitsTogether(const muster::internal::v1::MicroBatch& micro) {
  uint64_t tokens = 0;
  for (const uint32_t length : micro.lengths()) tokens += length;
  return micro.slots_size() == micro.lengths_size() && micro.tokens().size() == tokens * sizeof(uint32_t) &&
         (micro.unpooled().empty() || micro.unpooled_size() == micro.lengths_size());
}

}  // namespace

std::vector<muster::internal::v1::MicroBatch> CutMicroBatch(const muster::internal::v1::MicroBatch& micro,
                                                            uint64_t tokens) {
  if (!FitsTogether(micro)) return {micro};
  std::vector<muster::internal::v1::MicroBatch> parts;
  uint64_t used = 0, begin = 0;
  for (int i = 0; i < micro.lengths_size(); ++i) {
    const uint64_t length = micro.lengths(i);
    if (parts.empty() || used + length > tokens) {
      parts.emplace_back();
      used = 0;
    }
    muster::internal::v1::MicroBatch& part = parts.back();
    part.add_lengths(micro.lengths(i));
    part.add_slots(micro.slots(i));
    if (!micro.unpooled().empty()) part.add_unpooled(micro.unpooled(i));
    part.mutable_tokens()->append(micro.tokens(), begin * sizeof(uint32_t), length * sizeof(uint32_t));
    used += length;
    begin += length;
  }
  return parts;
}

}  // namespace muster
