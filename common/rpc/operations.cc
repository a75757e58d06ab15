#include "common/rpc/operations.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/name_page.h"
#include "common/random_id.h"
#include "common/request_id.h"
#include "common/status.h"
#include "common/timestamp.h"

namespace muster {
namespace {

using muster::v1::Operation;

constexpr absl::Duration kGrace = absl::Seconds(2);  // before the work is interrupted, and again after that

bool HasEnded(const Operation& operation) { return operation.phase() != muster::v1::OPERATION_PHASE_RUNNING; }

absl::string_view PrefixOf(muster::v1::OperationKind kind) {
  switch (kind) {
    case muster::v1::OPERATION_KIND_IMPORT: return "import-";
    case muster::v1::OPERATION_KIND_GARBAGE_COLLECTION: return "collection-";
    case muster::v1::OPERATION_KIND_SWEEP: return "sweep-";
    case muster::v1::OPERATION_KIND_UNSPECIFIED:
    case muster::v1::OperationKind_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::OperationKind_INT_MAX_SENTINEL_DO_NOT_USE_: break;
  }
  return "operation-";
}

std::string PhaseWord(muster::v1::OperationPhase phase) {
  return absl::AsciiStrToLower(absl::StripPrefix(muster::v1::OperationPhase_Name(phase), "OPERATION_PHASE_"));
}

}  // namespace

absl::Status Operations::CanceledBy(const std::string& user) {
  return WithReason(absl::AbortedError(absl::StrCat("canceled by ", user)), "OPERATION_CANCELED");
}

std::string Operations::DrawId(muster::v1::OperationKind kind) const {
  while (true) {
    std::string id = absl::StrCat(PrefixOf(kind), RandomId());
    if (!entries_.contains(id)) return id;
  }
}

std::unique_ptr<Operations::Handle> Operations::Begin(Work work) {
  absl::MutexLock lock(&mutex_);
  Entry entry;
  entry.interrupt = std::move(work.interrupt);
  Operation& operation = entry.operation;
  operation.set_id(DrawId(work.kind));
  operation.set_kind(work.kind);
  operation.set_subject(std::move(work.subject));
  operation.set_owner(std::move(work.owner));
  operation.set_phase(muster::v1::OPERATION_PHASE_RUNNING);
  operation.set_reason("starting");
  operation.set_total_bytes(work.total_bytes);
  *operation.mutable_started() = ToProto(clock_.Now());
  std::unique_ptr<Handle> handle(new Handle(*this, operation.id()));
  entries_[handle->id()] = std::move(entry);
  return handle;
}

Operations::Handle::~Handle() {
  if (!ended_) End(absl::InternalError("it ended without a result"), "").IgnoreError();
}

void Operations::Handle::Report(const Progress& progress) {
  absl::MutexLock lock(&operations_.mutex_);
  Entry& entry = operations_.entries_.at(id_);
  entry.operation.set_reason(entry.canceled_by.empty()
                                 ? progress.activity
                                 : absl::StrCat("canceling for ", entry.canceled_by, ": ", progress.activity));
  entry.operation.set_done(std::clamp(progress.done, 0.0, 1.0));
  entry.operation.set_bytes(progress.bytes);
  entry.operation.set_items(progress.items);
}

absl::Status Operations::Handle::Check() const {
  absl::MutexLock lock(&operations_.mutex_);
  const Entry& entry = operations_.entries_.at(id_);
  return entry.canceled_by.empty() || HasEnded(entry.operation) ? absl::OkStatus() : CanceledBy(entry.canceled_by);
}

absl::Status Operations::Handle::End(const absl::Status& status, const std::string& what) {
  absl::MutexLock lock(&operations_.mutex_);
  ended_ = true;
  Entry& entry = operations_.entries_.at(id_);
  Operation& operation = entry.operation;
  const absl::Status result = status.ok() || entry.canceled_by.empty() ? status : CanceledBy(entry.canceled_by);
  if (result.ok()) {
    operation.set_phase(muster::v1::OPERATION_PHASE_SUCCEEDED);
    operation.set_reason(what);
    operation.set_done(1);
  } else {
    const bool canceled = !entry.canceled_by.empty() || absl::IsCancelled(result);
    operation.set_phase(canceled ? muster::v1::OPERATION_PHASE_CANCELED : muster::v1::OPERATION_PHASE_FAILED);
    operation.set_reason(std::string(result.message()));
  }
  *operation.mutable_ended() = ToProto(operations_.clock_.Now());
  entry.interrupt = nullptr;
  operations_.ended_.push_back(id_);
  if (operations_.ended_.size() > kMostEndedOperations) {
    operations_.entries_.erase(operations_.ended_.front());
    operations_.ended_.pop_front();
  }
  return result;
}

absl::StatusOr<const Operations::Entry*> Operations::Find(const std::string& id) const {
  const auto found = entries_.find(id);
  if (found != entries_.end()) return &found->second;
  return absl::NotFoundError(absl::StrCat("there is no operation \"", id, "\". See muster operations; those that ended are "
                                          "remembered for a while, and not across a restart of their server."));
}

absl::StatusOr<muster::v1::ListOperationsResponse> Operations::List(const muster::v1::ListOperationsRequest& request) const {
  absl::MutexLock lock(&mutex_);
  muster::v1::ListOperationsResponse response;
  ASSIGN_OR_RETURN(std::string next, FillPage(request, entries_, [](const auto& item) { return item.first; },
                                              [&](const auto& item) -> size_t {
                                                if (request.active_only() && HasEnded(item.second.operation)) return 0;
                                                *response.add_operations() = item.second.operation;
                                                return item.second.operation.ByteSizeLong();
                                              }));
  response.set_next_page_token(std::move(next));
  return response;
}

absl::StatusOr<Operation> Operations::Get(const std::string& id) const {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Entry* entry, Find(id));
  return entry->operation;
}

bool Operations::AwaitEnd(const std::string& id) {
  const auto ended = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    const auto found = entries_.find(id);
    return found == entries_.end() || HasEnded(found->second.operation);
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&ended), kGrace);
}

absl::StatusOr<Operation> Operations::Cancel(const std::string& id, const Principal& caller, const std::string& request_id) {
  RETURN_IF_ERROR(CheckRequestId(request_id));
  absl::MutexLock lock(&mutex_);
  const std::string key = absl::StrCat(caller.name, "/", request_id);
  const std::string* done = request_id.empty() ? nullptr : requests_.Find(key);
  if (done != nullptr && *done != id) return RequestIdReused(request_id, absl::StrCat("for operation ", *done));
  ASSIGN_OR_RETURN(const Entry* found, Find(id));
  if (done != nullptr) return found->operation;
  Entry& entry = entries_.at(id);
  if (caller.role == Role::kSubmitter && entry.operation.owner() != caller.name) {
    return WithReason(absl::PermissionDeniedError(absl::StrCat("operation ", id, " belongs to ", entry.operation.owner(),
                                                               ", and you are ", caller.name, ". Ask its owner or an operator.")),
                      "NOT_OWNER");
  }
  if (entry.operation.phase() == muster::v1::OPERATION_PHASE_CANCELED) return entry.operation;
  if (HasEnded(entry.operation)) {
    return absl::FailedPreconditionError(absl::StrCat("operation ", id, " has ended (", PhaseWord(entry.operation.phase()), ")."));
  }
  if (!request_id.empty()) requests_.Insert(key, id);
  if (entry.canceled_by.empty()) {
    entry.canceled_by = caller.name;
    entry.operation.set_reason(absl::StrCat("canceling for ", caller.name, ": ", entry.operation.reason()));
    if (!AwaitEnd(id)) {
      // Another cancel may have got here first and taken the function.
      const std::function<void()> interrupt = std::exchange(entries_.at(id).interrupt, nullptr);
      if (interrupt != nullptr) interrupt();
    }
  }
  AwaitEnd(id);
  ASSIGN_OR_RETURN(const Entry* now, Find(id));
  return now->operation;
}

}  // namespace muster
