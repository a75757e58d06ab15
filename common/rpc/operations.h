// The long-running work of one server: a list of it, its progress, and cancellation. Ended operations are remembered for a
// while, and nothing survives the process: an import that ends with its server leaves nothing behind either.
//
//   const auto operation = operations.Begin({.kind = …, .subject = "faq", .owner = "ada", .interrupt = […] { … }});
//   while (…) {
//     RETURN_IF_ERROR(operation->Check());          // ABORTED once somebody cancels it
//     operation->Report({.activity = "reading", …});
//   }
//   operation->End(status, "imported 80 queries");
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/recent_map.h"
#include "common/rpc/principal.h"
#include "muster/v1/operation.pb.h"

namespace muster {

inline constexpr size_t kMostEndedOperations = 200;

// Thread-safe.
class Operations {
 public:
  struct Work {
    muster::v1::OperationKind kind = muster::v1::OPERATION_KIND_UNSPECIFIED;
    std::string subject, owner;
    uint64_t total_bytes = 0;  // 0: not known
    // Ends what the work waits for. Called at most once, if the work has not ended by itself soon after it was canceled;
    // while it is called no other operation is served, so it must be short and not call back.
    std::function<void()> interrupt = [] {};
  };
  struct Progress {
    std::string activity;  // human-readable: "reading"
    double done = 0;       // share, 0 to 1; 0: not known
    uint64_t bytes = 0, items = 0;
  };

  // One operation, owned by the code that does the work.
  class Handle {
   public:
    ~Handle();  // an operation that was not ended counts as failed
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    const std::string& id() const { return id_; }
    void Report(const Progress& progress);
    // ABORTED (OPERATION_CANCELED), with who canceled it.
    absl::Status Check() const;
    // `what`: a description of the result, if `status` is OK. Returns the status with which the work answers its caller:
    // Check() if it was canceled and did not succeed.
    absl::Status End(const absl::Status& status, const std::string& what);

   private:
    friend class Operations;
    Handle(Operations& operations, std::string id) : operations_(operations), id_(std::move(id)) {}
    Operations& operations_;
    const std::string id_;
    bool ended_ = false;
  };

  explicit Operations(const Clock& clock) : clock_(clock) {}

  std::unique_ptr<Handle> Begin(Work work) ABSL_LOCKS_EXCLUDED(mutex_);

  absl::StatusOr<muster::v1::ListOperationsResponse> List(const muster::v1::ListOperationsRequest& request) const;
  absl::StatusOr<muster::v1::Operation> Get(const std::string& id) const;  // NOT_FOUND
  // Cancels it and waits a moment for its end. PERMISSION_DENIED (NOT_OWNER): the caller is a submitter, and the operation is
  // another user's. FAILED_PRECONDITION: it ended before it was canceled.
  absl::StatusOr<muster::v1::Operation> Cancel(const std::string& id, const Principal& caller, const std::string& request_id);

 private:
  struct Entry {
    muster::v1::Operation operation;
    std::string canceled_by;  // empty: it is not canceled
    std::function<void()> interrupt;
  };
  absl::StatusOr<const Entry*> Find(const std::string& id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  static absl::Status CanceledBy(const std::string& user);
  std::string DrawId(muster::v1::OperationKind kind) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // False: it is still running.
  bool AwaitEnd(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);  // by id
  std::deque<std::string> ended_ ABSL_GUARDED_BY(mutex_);         // oldest first
  RecentMap<std::string, std::string> requests_ ABSL_GUARDED_BY(mutex_){1000};  // of cancels: "user/request id" → id
};

}  // namespace muster
