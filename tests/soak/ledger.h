// The observations of all clients of a soak: calls, errors by kind, and broken promises.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace muster {

// Thread-safe.
class Ledger {
 public:
  void Call(const std::string& rpc, const absl::Status& status, absl::Duration took);
  // A promise that the servers broke: "a lost acknowledgment: …".
  void Broken(const std::string& what);
  void Count(const std::string& what, uint64_t by = 1);
  uint64_t counted(const std::string& what) const;

  // {"calls": {"List": {"count": 3, "p50_ms": 1.2, "p99_ms": 4.5}}, "errors": [{"rpc", "code", "reason", "count",
  //  "message"}], "broken": ["…"], "counts": {"jobs acknowledged": 3}}
  std::string Report() const;

 private:
  struct Error {
    uint64_t count = 0;
    std::string message;  // the first error's
  };
  mutable absl::Mutex mutex_;
  std::map<std::string, std::vector<float>> milliseconds_ ABSL_GUARDED_BY(mutex_);
  std::map<std::tuple<std::string, std::string, std::string>, Error> errors_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> broken_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
