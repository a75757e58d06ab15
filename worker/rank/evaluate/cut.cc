#include "worker/rank/evaluate/cut.h"

namespace muster {
namespace {

// Bytes per token: the message has one of two forms.
size_t TokenBytes(const muster::internal::v1::MicroBatch& micro) {
  return micro.narrow_tokens().empty() ? sizeof(uint32_t) : sizeof(uint16_t);
}

bool FitsTogether(const muster::internal::v1::MicroBatch& micro) {
  uint64_t tokens = 0;
  for (const uint32_t length : micro.lengths()) tokens += length;
  return micro.slots_size() == micro.lengths_size() &&
         micro.tokens().size() + micro.narrow_tokens().size() == tokens * TokenBytes(micro) &&
         (micro.tokens().empty() || micro.narrow_tokens().empty()) &&
         (micro.unpooled().empty() || micro.unpooled_size() == micro.lengths_size());
}

}  // namespace

std::vector<muster::internal::v1::MicroBatch> CutMicroBatch(const muster::internal::v1::MicroBatch& micro,
                                                            uint64_t tokens) {
  if (!FitsTogether(micro)) return {micro};
  std::vector<muster::internal::v1::MicroBatch> parts;
  const size_t width = TokenBytes(micro);
  const bool narrow = width == sizeof(uint16_t);
  const std::string& ids = narrow ? micro.narrow_tokens() : micro.tokens();
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
    (narrow ? part.mutable_narrow_tokens() : part.mutable_tokens())->append(ids, begin * width, length * width);
    used += length;
    begin += length;
  }
  return parts;
}

}  // namespace muster
