#include "worker/rank/link/share_stream.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/rpc/errors.h"
#include "common/status.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"

namespace muster {

using muster::internal::v1::StepShare;

std::unique_ptr<ShareStream> ShareStream::Start(Options options) {
  std::unique_ptr<ShareStream> stream(new ShareStream(std::move(options)));
  stream->thread_ = std::thread([raw = stream.get()] { raw->Read(); });
  return stream;
}

ShareStream::ShareStream(Options options) : options_(std::move(options)) {}

ShareStream::~ShareStream() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  thread_.join();
}

absl::StatusOr<std::optional<StepShare>> ShareStream::Next(absl::Duration patience) {
  absl::MutexLock lock(&mutex_);
  const auto there = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !ready_.empty() || ended_; };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&there), patience)) return std::nullopt;
  if (ready_.empty()) return end_;
  StepShare share = std::move(ready_.front());
  ready_.pop_front();
  ready_bytes_ -= share.ByteSizeLong();
  return share;
}

void ShareStream::Read() {
  uint64_t next = options_.request.from_step();
  absl::Duration pause = absl::Milliseconds(100);
  absl::Status status;
  while (next < options_.total_steps) {
    const uint64_t before = next;
    status = ReadOnce(next);
    if (!status.ok() && !IsRetryable(status)) break;
    if (next == options_.total_steps) break;
    pause = next > before ? absl::Milliseconds(100) : std::min(2 * pause, absl::Duration(absl::Seconds(5)));
    spdlog::warn("the stream of shares stopped before step {}: {}; trying again", next,
                 status.ok() ? "it ended early" : std::string(status.message()));
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stop_), pause)) return;
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  end_ = next == options_.total_steps ? absl::OutOfRangeError("no step is left")
                                      : WithContext(status, absl::StrCat("stream of shares, step ", next));
}

absl::Status ShareStream::ReadOnce(uint64_t& next) {
  const auto stub = muster::internal::v1::DataPlaneService::NewStub(options_.server);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);  // a call that fails fast would not drive the connection (common/rpc/retry.h)
  {
    absl::MutexLock lock(&mutex_);
    if (stop_) return absl::CancelledError("stopped");
    call_ = &context;
  }
  muster::internal::v1::StreamRequest request = options_.request;
  request.set_from_step(next);
  const auto reader = stub->Stream(&context, request);
  StepShare share;
  absl::Status wrong;
  while (wrong.ok() && reader->Read(&share)) {
    if (share.step() != next) {
      wrong = absl::InternalError(absl::StrCat("the data server sent step ", share.step(), " for step ", next));
    } else if (Push(std::move(share))) {
      ++next;
      share.Clear();
    } else {
      wrong = absl::CancelledError("stopped");
    }
  }
  if (!wrong.ok()) context.TryCancel();
  const absl::Status status = FromUncancelledCall(reader->Finish());
  absl::MutexLock lock(&mutex_);
  call_ = nullptr;
  return wrong.ok() ? status : wrong;
}

// Waits until the buffer has room. False: the stream was stopped.
bool ShareStream::Push(StepShare share) {
  const uint64_t bytes = share.ByteSizeLong();
  absl::MutexLock lock(&mutex_);
  const auto room = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop_ || ready_.empty() || ready_bytes_ + bytes <= options_.read_ahead_bytes;
  };
  mutex_.Await(absl::Condition(&room));
  if (stop_) return false;
  ready_bytes_ += bytes;
  ready_.push_back(std::move(share));
  return true;
}

}  // namespace muster
