#include "coordinator/service/rendezvous.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::RendezvousRequest;
using muster::internal::v1::RendezvousResponse;

absl::Status Ended(const std::string& job, uint32_t attempt) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat("attempt ", attempt, " of job ", job, " does not run")), "STALE_ATTEMPT");
}

absl::Status CheckKey(const std::string& key) {
  if (key.size() <= kMaxStoreKey) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a key of ", key.size(), " bytes; at most ", kMaxStoreKey));
}

}  // namespace

void RendezvousStore::Open(const std::string& job_id, uint32_t attempt, std::vector<std::string> workers) {
  absl::MutexLock lock(&mutex_);
  auto& space = spaces_[{job_id, attempt}];
  if (space != nullptr) return;
  space = std::make_shared<Space>();
  space->workers = std::move(workers);
}

void RendezvousStore::Close(const std::string& job_id, uint32_t attempt) {
  std::shared_ptr<Space> space;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = spaces_.find({job_id, attempt});
    if (found == spaces_.end()) return;
    space = std::move(found->second);
    spaces_.erase(found);
  }
  absl::MutexLock lock(&space->mutex);
  space->closed = true;
}

void RendezvousStore::CloseAll() {
  absl::MutexLock lock(&mutex_);
  for (auto& [key, space] : spaces_) {
    absl::MutexLock space_lock(&space->mutex);
    space->closed = true;
  }
  spaces_.clear();
}

std::shared_ptr<RendezvousStore::Space> RendezvousStore::Find(const Key& key) {
  absl::MutexLock lock(&mutex_);
  const auto found = spaces_.find(key);
  return found == spaces_.end() ? nullptr : found->second;
}

absl::Status RendezvousStore::Space::Put(const std::string& key, std::string value) {
  RETURN_IF_ERROR(CheckKey(key));
  if (value.size() > kMaxStoreValue) {
    return absl::InvalidArgumentError(absl::StrCat("a value of ", value.size(), " bytes; at most ", kMaxStoreValue));
  }
  const auto found = values.find(key);
  const size_t before = found == values.end() ? 0 : key.size() + found->second.size();
  const size_t after = bytes - before + key.size() + value.size();
  if ((found == values.end() && values.size() >= kMaxStoreKeys) || after > kMaxStoreBytes) {
    return absl::ResourceExhaustedError("the attempt's rendezvous store is full");
  }
  bytes = after;
  values[key] = std::move(value);
  return absl::OkStatus();
}

absl::StatusOr<RendezvousResponse> RendezvousStore::Space::Get(const muster::internal::v1::StoreGet& get,
                                                               const std::function<bool()>& gone) {
  const auto ready = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return closed || std::all_of(get.keys().begin(), get.keys().end(),
                                 [&](const std::string& key) ABSL_SHARED_LOCKS_REQUIRED(mutex) {
                                   return values.contains(key);
                                 });
  };
  const absl::Duration wait = std::min(absl::Milliseconds(get.timeout_milliseconds()), kMaxStoreWait);
  const absl::Duration deadline = RealClock().Monotonic() + wait;
  RendezvousResponse response;
  absl::MutexLock lock(&mutex);
  while (!ready()) {
    const absl::Duration left = deadline - RealClock().Monotonic();
    if (left <= absl::ZeroDuration()) return response;  // found = false
    if (gone()) return absl::CancelledError("the caller has disconnected");
    mutex.AwaitWithTimeout(absl::Condition(&ready), std::min(left, absl::Milliseconds(250)));
  }
  if (closed) return absl::FailedPreconditionError("the attempt ended");
  response.set_found(true);
  if (!get.keys_only()) {
    for (const std::string& key : get.keys()) response.add_values(values.at(key));
  }
  return response;
}

absl::StatusOr<RendezvousResponse> RendezvousStore::Do(const RendezvousRequest& request, const Principal& caller,
                                                       const std::function<bool()>& gone) {
  const std::shared_ptr<Space> space = Find({request.job_id(), request.attempt()});
  if (space == nullptr) return Ended(request.job_id(), request.attempt());
  if (std::ranges::none_of(space->workers, [&](const std::string& worker) { return ActsFor(caller, worker); })) {
    return WithReason(absl::PermissionDeniedError(absl::StrCat("worker \"", caller.name, "\" has no rank of attempt ",
                                                               request.attempt(), " of job ", request.job_id())),
                      "NOT_ASSIGNED");
  }
  if (request.has_get()) return space->Get(request.get(), gone);
  RendezvousResponse response;
  absl::MutexLock lock(&space->mutex);
  if (space->closed) return Ended(request.job_id(), request.attempt());
  auto& values = space->values;
  switch (request.operation_case()) {
    case RendezvousRequest::kSet: {
      RETURN_IF_ERROR(space->Put(request.set().key(), request.set().value()));
      return response;
    }
    case RendezvousRequest::kAdd: {
      int64_t sum = 0;
      const auto found = values.find(request.add().key());
      if (found != values.end() && !absl::SimpleAtoi(found->second, &sum)) {
        return absl::InvalidArgumentError(absl::StrCat("add: the value of \"", request.add().key(), "\" is not a number"));
      }
      if (__builtin_add_overflow(sum, request.add().amount(), &sum)) {
        return absl::InvalidArgumentError(absl::StrCat("add: the sum of \"", request.add().key(), "\" does not fit"));
      }
      RETURN_IF_ERROR(space->Put(request.add().key(), absl::StrCat(sum)));
      response.set_number(sum);
      return response;
    }
    case RendezvousRequest::kCompareSet: {
      // The same as in c10d's stores: an absent key is set if `expected` is empty.
      const auto found = values.find(request.compare_set().key());
      const bool matches = found == values.end() ? request.compare_set().expected().empty()
                                                 : found->second == request.compare_set().expected();
      if (matches) {
        RETURN_IF_ERROR(space->Put(request.compare_set().key(), request.compare_set().desired()));
        response.add_values(request.compare_set().desired());
      } else {
        response.add_values(found == values.end() ? request.compare_set().expected() : found->second);
      }
      response.set_found(found != values.end() || matches);
      return response;
    }
    case RendezvousRequest::kDelete: {
      const auto found = values.find(request.delete_().key());
      if (found == values.end()) return response;
      space->bytes -= found->first.size() + found->second.size();
      values.erase(found);
      response.set_found(true);
      return response;
    }
    case RendezvousRequest::kCount: response.set_number(static_cast<int64_t>(values.size())); return response;
    case RendezvousRequest::kGet:
    case RendezvousRequest::OPERATION_NOT_SET: break;
  }
  return absl::InvalidArgumentError("operation: none was given");
}

}  // namespace muster
