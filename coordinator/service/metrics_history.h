// Each job's metrics by step, one file per job: FOLDER/JOB/steps.pb, next to its logs. A file has a fixed maximum of points:
// when it is full, every second one is removed, so that old steps become sparse and recent ones stay dense.
//
// Thread-safe. Recording never blocks; reading reads files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/disk_room.h"
#include "common/process/disk_worker.h"
#include "coordinator/service/job_followers.h"
#include "muster/v1/job_metrics.pb.h"

namespace muster {

class MetricsHistory {
 public:
  static constexpr size_t kMaxPoints = 4000;  // about 500 KiB

  explicit MetricsHistory(std::filesystem::path folder, size_t max_points = kMaxPoints, HasRoom has_room = AlwaysRoom())
      : folder_(std::move(folder)), max_points_(max_points), has_room_(std::move(has_room)) {}

  // Points of one job must come in the order of attempt and step; others are dropped. `job_id` must be
  // a valid name (common/files.h). Dropped, with a line in the log, if the disk is too slow or has no room.
  void Record(const std::string& job_id, muster::v1::StepMetrics point);

  // How far a reader has read. The initial one has read nothing.
  struct Cursor {
    uint32_t attempt = 0;
    uint64_t step = 0;
  };
  // Returns at most `most` points after the cursor, and moves the cursor past them.
  absl::StatusOr<std::vector<muster::v1::StepMetrics>> Read(const std::string& job_id, size_t most, Cursor& cursor) const;

  // Waits at most `wait` until everything recorded before this call is on disk or dropped.
  bool WaitUntilWritten(absl::Duration wait);

  JobFollowers& followers() { return followers_; }
  void Stop();  // every wait ends

 private:
  // The newest point of a file, and the number of its points; kept for the files that were written last.
  struct Tail {
    size_t points = 0;
    Cursor last;
  };
  std::filesystem::path PathOf(const std::string& job_id) const;
  bool HasRoomNow();
  absl::Status Append(const std::string& job_id, const muster::v1::StepMetrics& point);
  absl::StatusOr<Tail*> TailOf(const std::string& job_id);
  absl::Status Thin(const std::string& job_id, Tail& tail);

  const std::filesystem::path folder_;
  const size_t max_points_;
  const HasRoom has_room_;
  JobFollowers followers_;
  // Only for the writer's thread: whether the disk was full at the last point, and the files' tails.
  bool full_ = false;
  std::map<std::string, Tail> tails_;
  absl::Mutex mutex_;
  uint64_t recorded_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  DiskWorker writer_;  // declared last, so that it ends before the members that it uses
};

}  // namespace muster
