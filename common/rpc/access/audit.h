// The audit log of a server: one JSON object per line for every change and every refusal, in FOLDER/audit.jsonl. A file
// of 16 MiB becomes audit.1.jsonl, and so on; at most nine files exist. It never contains secrets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/disk_room.h"
#include "common/rpc/access/rate_limit.h"
#include "common/rpc/principal.h"

namespace muster {

struct AuditRecord {
  absl::Time time;
  Principal principal;
  std::string peer, method, subject, request_id;
  std::string outcome;  // OK, or the status code's name
  std::string detail;   // of a refusal or failure: its message
  bool refused = false;
};

// Thread-safe.
class AuditLog {
 public:
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(const std::filesystem::path& folder,
                                                        HasRoom has_room = AlwaysRoom(), uint64_t max_bytes = 16 << 20,
                                                        int kept = 8);
  ~AuditLog();

  // On average at most ten refusals of unknown callers are written per second, so that a stranger cannot rotate the records
  // of others out of the log. The next line counts the refusals that were left out, and the lines that were lost to a full
  // disk.
  void Write(const AuditRecord& record);

 private:
  AuditLog(std::filesystem::path folder, HasRoom has_room, uint64_t max_bytes, int kept);
  absl::Status OpenFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Rotate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::filesystem::path folder_;
  const HasRoom has_room_;
  const uint64_t max_bytes_;
  const int kept_;
  absl::Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_) = -1;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;   // refusals
  uint64_t unwritten_ ABSL_GUARDED_BY(mutex_) = 0;  // lines for which the disk had no room
  TokenBucket strangers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
