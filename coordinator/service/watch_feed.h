// The newest view of each job, for Watch streams. Thread-safe: the event loop publishes, streams wait.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "muster/v1/job.pb.h"

namespace muster {

class WatchFeed {
 public:
  // Publishes a view from the loop. Ended jobs are removed when their last watcher has seen them.
  void Publish(muster::v1::Job job);
  void PublishReason(muster::v1::Job job);  // only if its reason has changed
  void Stop();  // every wait ends

  // Registers interest: only watched jobs are kept. Balanced by Leave.
  void Join(const std::string& job_id);
  void Leave(const std::string& job_id);
  bool Watched(const std::string& job_id);
  std::vector<std::string> WatchedJobs();

  enum class News { kChanged, kNone, kStopped };
  // Waits so that `pace` passes between two views of one stream. True: the feed was stopped.
  bool Pace(absl::Duration pace);
  // Waits at most `wait` for a view newer than `version`, and sets `version` to it.
  News Next(const std::string& job_id, absl::Duration wait, uint64_t& version, muster::v1::Job& job);

 private:
  struct Entry {
    int watchers = 0;
    uint64_t version = 0;
    muster::v1::Job job;
  };
  absl::Mutex mutex_;
  std::map<std::string, Entry> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace muster
