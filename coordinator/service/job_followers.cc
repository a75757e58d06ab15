#include "coordinator/service/job_followers.h"

#include <utility>

namespace muster {

void JobFollowers::Notify(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  if (const auto job = followed_.find(job_id); job != followed_.end()) ++job->second.version;
}

void JobFollowers::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

JobFollower::JobFollower(JobFollowers& followers, std::string job_id)
    : followers_(followers), job_id_(std::move(job_id)) {
  absl::MutexLock lock(&followers_.mutex_);
  ++followers_.followed_[job_id_].followers;
}

JobFollower::~JobFollower() {
  absl::MutexLock lock(&followers_.mutex_);
  const auto job = followers_.followed_.find(job_id_);
  if (--job->second.followers == 0) followers_.followed_.erase(job);
}

uint64_t JobFollower::WaitForMore(uint64_t version, absl::Duration wait) {
  absl::MutexLock lock(&followers_.mutex_);
  const JobFollowers::Followed& job = followers_.followed_.at(job_id_);
  const auto more = [&]() ABSL_SHARED_LOCKS_REQUIRED(followers_.mutex_) {
    return followers_.stopped_ || job.version != version;
  };
  followers_.mutex_.AwaitWithTimeout(absl::Condition(&more), wait);
  return job.version;
}

}  // namespace muster
