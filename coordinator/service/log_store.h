// The output of ranks, one file per rank: FOLDER/JOB/ATTEMPT-RANK.log, at most 16 MiB each. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/disk_room.h"
#include "coordinator/service/job_followers.h"

namespace muster {

class LogStore {
 public:
  static constexpr uint64_t kMaxFile = 16 << 20;  // bytes

  explicit LogStore(std::filesystem::path folder, uint64_t max_file = kMaxFile, HasRoom has_room = AlwaysRoom())
      : folder_(std::move(folder)), max_file_(max_file), has_room_(std::move(has_room)) {}

  // `job_id` must be a valid name (common/files.h). Past the file's limit, and while the disk has no room, the text is dropped
  // and replaced by a line about that.
  absl::Status Append(const std::string& job_id, uint32_t attempt, uint32_t rank, const std::string& text);

  // Removes everything of the job, including its metrics.
  absl::Status Remove(const std::string& job_id);
  std::set<std::string> Jobs() const;  // ids of the jobs that have files
  uint64_t BytesOf(const std::string& job_id) const;

  struct File {
    uint32_t attempt = 0, rank = 0;
    uint64_t size = 0;
  };
  std::vector<File> List(const std::string& job_id) const;  // by attempt, then rank

  // Whole lines from `offset` on, at most 256 KiB; the rest of a line that never ended only if `ended`.
  absl::StatusOr<std::string> Read(const std::string& job_id, const File& file, uint64_t offset, bool ended) const;

  JobFollowers& followers() { return followers_; }  // of each job's text

  // Text from agents that waits for the disk: announced when it arrives, and settled in the same order when it is appended or
  // dropped. A reader that must see everything sent so far takes `announced()` and waits for it.
  void Announce();
  void Settle();
  uint64_t announced() const;
  bool WaitUntilSettled(uint64_t announced, absl::Duration wait);  // false: not within `wait`

  void Stop();  // every wait ends

 private:
  std::filesystem::path PathOf(const std::string& job_id, uint32_t attempt, uint32_t rank) const;
  void LeaveOut(const std::filesystem::path& path, uint64_t bytes);
  uint64_t TakeLeftOut(const std::filesystem::path& path);

  const std::filesystem::path folder_;
  const uint64_t max_file_;
  const HasRoom has_room_;
  JobFollowers followers_;
  mutable absl::Mutex mutex_;
  uint64_t announced_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t settled_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::filesystem::path, uint64_t> left_out_ ABSL_GUARDED_BY(mutex_);  // bytes, since a file was last written
};

}  // namespace muster
