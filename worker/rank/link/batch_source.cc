#include "worker/rank/link/batch_source.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/exception_status.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(100);  // how often the thread checks whether it should stop

}  // namespace

std::unique_ptr<BatchSource> BatchSource::Start(Options options) {
  std::unique_ptr<BatchSource> source(new BatchSource(std::move(options)));
  source->thread_ = std::thread([raw = source.get()] { raw->Run(); });
  return source;
}

BatchSource::~BatchSource() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

absl::StatusOr<std::optional<BatchSource::Step>> BatchSource::Next(absl::Duration patience) {
  absl::MutexLock lock(&mutex_);
  const auto there = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ready_.has_value(); };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&there), patience)) return std::nullopt;
  if (!ready_->ok()) return ready_->status();  // kept, because every later call returns it too
  absl::StatusOr<Step> step = std::move(*ready_);
  ready_.reset();
  return std::optional<Step>(*std::move(step));
}

bool BatchSource::Stopped() {
  absl::MutexLock lock(&mutex_);
  return stop_;
}

void BatchSource::Run() {
  for (bool ended = false; !ended && !Stopped();) {
    auto share = options_.shares->Next(kLook);
    if (share.ok() && !share->has_value()) continue;
    absl::StatusOr<Step> step = share.ok() ? Make(**std::move(share)) : share.status();
    ended = !step.ok();
    absl::MutexLock lock(&mutex_);
    ready_ = std::move(step);
    const auto taken = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stop_ || !ready_.has_value(); };
    if (!ended) mutex_.Await(absl::Condition(&taken));
  }
}

absl::StatusOr<BatchSource::Step> BatchSource::Make(muster::internal::v1::StepShare share) try {
  ASSIGN_OR_RETURN(StepBatch batch, HostBatchFromShare(share, options_.config, /*pinned=*/!options_.device.is_cpu()));
  Upload(batch, *options_.streams);
  share.clear_micro_batches();
  return Step{.share = std::move(share), .batch = std::move(batch)};
} catch (const std::exception& error) {  // out of memory, or a broken GPU
  return StatusFromException(absl::StatusCode::kInternal, absl::StrCat("share of step ", share.step()), error);
}

}  // namespace muster
