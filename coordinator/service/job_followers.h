// Wakes readers that wait for more of a job's growing data: the text of its logs, the history of its metrics. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace muster {

class JobFollowers {
 public:
  void Notify(const std::string& job_id);  // wakes only the followers of this job
  void Stop();                             // every wait ends

 private:
  friend class JobFollower;
  struct Followed {
    int followers = 0;
    uint64_t version = 0;
  };
  absl::Mutex mutex_;
  std::map<std::string, Followed> followed_ ABSL_GUARDED_BY(mutex_);  // by job
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

// A reader that follows one job.
class JobFollower {
 public:
  JobFollower(JobFollowers& followers, std::string job_id);
  ~JobFollower();
  // Waits until there is more of the job than at `version`, at most `wait`; returns the version now. The first version
  // is 0.
  uint64_t WaitForMore(uint64_t version, absl::Duration wait);

 private:
  JobFollowers& followers_;
  const std::string job_id_;
};

}  // namespace muster
