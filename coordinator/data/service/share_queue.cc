#include "coordinator/data/service/share_queue.h"

#include <utility>

namespace muster {

ShareQueue::ShareQueue(uint64_t begin, uint64_t end, Plan plan)
    : planner_([this, begin, end, plan = std::move(plan)] { Run(begin, end, plan); }) {}

ShareQueue::~ShareQueue() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  planner_.join();
}

void ShareQueue::Run(uint64_t begin, uint64_t end, const Plan& plan) {
  absl::Status status = absl::OutOfRangeError("the last step was planned");
  for (uint64_t step = begin; step < end; ++step) {
    absl::StatusOr<muster::internal::v1::StepShare> share = plan(step);
    const size_t bytes = share.ok() ? share->ByteSizeLong() : 0;
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &ShareQueue::HasRoom));
    if (stopped_) return;
    if (!share.ok()) {
      status = share.status();
      break;
    }
    shares_.push_back({*std::move(share), bytes});
    bytes_ += bytes;
  }
  absl::MutexLock lock(&mutex_);
  end_ = status;
}

absl::StatusOr<std::optional<muster::internal::v1::StepShare>> ShareQueue::Pop(absl::Duration patience) {
  absl::MutexLock lock(&mutex_);
  if (!mutex_.AwaitWithTimeout(absl::Condition(this, &ShareQueue::HasNews), patience)) return std::nullopt;
  if (shares_.empty()) return end_;
  Planned planned = std::move(shares_.front());
  shares_.pop_front();
  bytes_ -= planned.bytes;
  return std::move(planned.share);
}

}  // namespace muster
