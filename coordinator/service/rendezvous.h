// The keys and values through which an attempt's ranks find each other: a c10d store, kept in memory, open from the
// attempt's start to its end. Thread-safe. A coordinator restart empties it, which only affects attempts whose ranks have not
// connected yet: they time out, fail and start again.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/principal.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

inline constexpr size_t kMaxStoreKey = 4 << 10;     // bytes
inline constexpr size_t kMaxStoreValue = 1 << 20;   // bytes
inline constexpr size_t kMaxStoreKeys = 100'000;    // of one attempt
inline constexpr size_t kMaxStoreBytes = 64 << 20;  // of one attempt
inline constexpr absl::Duration kMaxStoreWait = absl::Seconds(30);

class RendezvousStore {
 public:
  // `workers`: the workers that run a rank of the attempt.
  void Open(const std::string& job_id, uint32_t attempt, std::vector<std::string> workers);
  void Close(const std::string& job_id, uint32_t attempt);  // waiting calls end
  void CloseAll();

  // Executes one operation of a rank on one of the attempt's workers (else PERMISSION_DENIED). FAILED_PRECONDITION: the attempt
  // is not open (it ended, or has not begun). CANCELLED: `gone` became true during the wait (checked a few times per second).
  absl::StatusOr<muster::internal::v1::RendezvousResponse> Do(const muster::internal::v1::RendezvousRequest& request,
                                                              const Principal& caller,
                                                              const std::function<bool()>& gone);

 private:
  using Key = std::pair<std::string, uint32_t>;
  struct Space {
    std::vector<std::string> workers;
    absl::Mutex mutex;
    std::map<std::string, std::string> values ABSL_GUARDED_BY(mutex);
    size_t bytes ABSL_GUARDED_BY(mutex) = 0;
    bool closed ABSL_GUARDED_BY(mutex) = false;

    absl::Status Put(const std::string& key, std::string value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
    absl::StatusOr<muster::internal::v1::RendezvousResponse> Get(const muster::internal::v1::StoreGet& get,
                                                                 const std::function<bool()>& gone);
  };
  std::shared_ptr<Space> Find(const Key& key);

  absl::Mutex mutex_;
  std::map<Key, std::shared_ptr<Space>> spaces_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
