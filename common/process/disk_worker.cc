#include "common/process/disk_worker.h"

namespace muster {

DiskWorker::DiskWorker(size_t max_bytes) : max_bytes_(max_bytes), thread_([this] { Run(); }) {}

DiskWorker::~DiskWorker() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void DiskWorker::Post(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({std::move(work), 0});
}

bool DiskWorker::TryPost(size_t bytes, std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  if (bytes_ + bytes > max_bytes_) return false;
  bytes_ += bytes;
  waiting_.push_back({std::move(work), bytes});
  return true;
}

void DiskWorker::Run() {
  const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !waiting_.empty(); };
  while (true) {
    Piece piece;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&due));
      if (waiting_.empty()) return;
      piece = std::move(waiting_.front());
      waiting_.pop_front();
    }
    piece.work();
    absl::MutexLock lock(&mutex_);
    bytes_ -= piece.bytes;
  }
}

}  // namespace muster
