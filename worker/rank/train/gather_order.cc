#include "worker/rank/train/gather_order.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/str_format.h"
#include "common/status.h"

namespace muster {
namespace {

// A message is this struct, followed by the rank's slots, in memory layout: all ranks run the same build.
struct PlanOfStep {
  uint64_t step = 0, digest = 0;
  bool operator==(const PlanOfStep&) const = default;
};

std::string PlanMessage(const StepBatch& batch) {
  const PlanOfStep plan{batch.step, batch.plan_digest};
  std::string message(reinterpret_cast<const char*>(&plan), sizeof plan);
  for (const PackedBatch& micro : batch.micro_batches) {
    message.append(reinterpret_cast<const char*>(micro.slots.data()), micro.slots.size() * sizeof(micro.slots[0]));
  }
  return message;
}

absl::Status Disagree(const std::string& what) {
  return WithReason(absl::FailedPreconditionError(what), kRanksDisagree);
}

// Whether each of the batch's `count` slots occurs exactly once.
absl::Status CheckDivided(const std::vector<int64_t>& slots, uint64_t step, int64_t count) {
  const auto wrong = [&](int64_t slot, const char* by) {
    return Disagree(absl::StrFormat("step %d is assigned to the ranks differently: sequence %d of %d is encoded by %s. Data "
                                    "servers of two versions serve the job",
                                    step, slot, count, by));
  };
  std::vector<bool> seen(count, false);
  for (const int64_t slot : slots) {
    if (slot >= count) return wrong(slot, "a rank that has another batch");
    if (seen[slot]) return wrong(slot, "two ranks");
    seen[slot] = true;
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  return missing == seen.end() ? absl::OkStatus() : wrong(missing - seen.begin(), "no rank");
}

}  // namespace

absl::StatusOr<GatherOrder> ExchangeGatherOrder(Group& group, const StepBatch& batch) {
  ASSIGN_OR_RETURN(const std::vector<std::string> messages, group.AllGatherBytes(PlanMessage(batch)));
  GatherOrder order;
  PlanOfStep first;
  for (size_t r = 0; r < messages.size(); ++r) {
    const std::string& message = messages[r];
    constexpr size_t kSlot = sizeof(uint32_t);
    if (message.size() < sizeof(PlanOfStep) || (message.size() - sizeof(PlanOfStep)) % kSlot != 0) {
      return absl::FailedPreconditionError("ranks of different builds are in one group");
    }
    PlanOfStep plan;
    std::memcpy(&plan, message.data(), sizeof plan);
    if (r == 0) first = plan;
    if (plan != first) {
      return Disagree(absl::StrFormat(
          "rank %d holds step %d with plan %016x, rank 0 holds step %d with plan %016x: the data servers differ", r,
          plan.step, plan.digest, first.step, first.digest));
    }
    order.rank_counts.push_back(static_cast<int64_t>((message.size() - sizeof plan) / kSlot));
    for (size_t place = sizeof plan; place < message.size(); place += kSlot) {
      uint32_t slot;
      std::memcpy(&slot, message.data() + place, kSlot);
      order.slots.push_back(slot);
    }
  }
  RETURN_IF_ERROR(CheckDivided(order.slots, batch.step, batch.query_count + batch.passage_count));
  return order;
}

}  // namespace muster
