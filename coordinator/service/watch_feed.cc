#include "coordinator/service/watch_feed.h"

#include <utility>

namespace muster {

void WatchFeed::Publish(muster::v1::Job job) {
  absl::MutexLock lock(&mutex_);
  const auto found = jobs_.find(job.id());
  if (found == jobs_.end()) return;
  ++found->second.version;
  found->second.job = std::move(job);
}

void WatchFeed::PublishReason(muster::v1::Job job) {
  absl::MutexLock lock(&mutex_);
  const auto found = jobs_.find(job.id());
  if (found == jobs_.end() || found->second.job.reason() == job.reason()) return;
  ++found->second.version;
  found->second.job = std::move(job);
}

std::vector<std::string> WatchFeed::WatchedJobs() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, entry] : jobs_) ids.push_back(id);
  return ids;
}

void WatchFeed::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

void WatchFeed::Join(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  ++jobs_[job_id].watchers;
}

void WatchFeed::Leave(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = jobs_.find(job_id);
  if (found != jobs_.end() && --found->second.watchers == 0) jobs_.erase(found);
}

bool WatchFeed::Watched(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  return jobs_.contains(job_id);
}

bool WatchFeed::Pace(absl::Duration pace) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopped_), pace);
  return stopped_;
}

WatchFeed::News WatchFeed::Next(const std::string& job_id, absl::Duration wait, uint64_t& version,
                                muster::v1::Job& job) {
  absl::MutexLock lock(&mutex_);
  const Entry& entry = jobs_[job_id];
  const auto news = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || entry.version > version; };
  mutex_.AwaitWithTimeout(absl::Condition(&news), wait);
  if (stopped_) return News::kStopped;
  if (entry.version <= version) return News::kNone;
  version = entry.version;
  job = entry.job;
  return News::kChanged;
}

}  // namespace muster
