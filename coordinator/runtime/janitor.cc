#include "coordinator/runtime/janitor.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/garbage_category.h"
#include "common/request_id.h"
#include "common/rpc/errors.h"
#include "common/rpc/metadata.h"
#include "common/status.h"
#include "coordinator/core/retention.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::SweepRequest;
using muster::internal::v1::SweepResponse;
using muster::v1::CollectGarbageResponse;
using muster::v1::GarbageCategory;

constexpr absl::Duration kFirstAfter = absl::Minutes(5);  // soon enough for a coordinator that restarts often
constexpr absl::Duration kSweepWithin = absl::Minutes(10);
constexpr size_t kRootsPerLook = 1000;  // manifests read in one query of the state
constexpr int kMostRoots = 10000;  // digests in one message, about 660 KB

void Count(GarbageCategory category, uint64_t count, uint64_t bytes, CollectGarbageResponse& response) {
  if (count == 0) return;
  for (muster::v1::GarbageKind& kind : *response.mutable_kinds()) {
    if (kind.category() != category) continue;
    kind.set_count(kind.count() + count);
    kind.set_bytes(kind.bytes() + bytes);
    return;
  }
  muster::v1::GarbageKind& kind = *response.add_kinds();
  SetCategory(category, kind);
  kind.set_count(count);
  kind.set_bytes(bytes);
}

// Sends digests in messages of at most kMostRoots. The first message is `request` with its other fields.
class RootSender {
 public:
  RootSender(SweepRequest request, grpc::ClientWriter<SweepRequest>& stream) : request_(std::move(request)), stream_(stream) {}
  void Add(const Roots& roots) {
    AddAll(roots.manifests, &SweepRequest::add_manifests);
    AddAll(roots.blobs, &SweepRequest::add_blobs);
    AddAll(roots.datasets, &SweepRequest::add_datasets);
  }
  bool broken() const { return broken_; }  // Finish() says why
  // Without it, nothing is removed.
  void End() {
    request_.set_last(true);
    stream_.Write(request_);
    stream_.WritesDone();
  }

 private:
  void AddAll(const std::set<std::string>& digests, void (SweepRequest::*add)(const std::string&)) {
    for (const std::string& digest : digests) {
      (request_.*add)(digest);
      if (++count_ < kMostRoots) continue;
      broken_ = broken_ || !stream_.Write(request_);
      request_.Clear();
      count_ = 0;
    }
  }

  SweepRequest request_;
  grpc::ClientWriter<SweepRequest>& stream_;
  int count_ = 0;
  bool broken_ = false;
};

// In parts, so that the loop is never blocked for all of them, and so that they are never in memory together. If a job needs
// something new between two parts, the code that stores or resolves it claims it, just as after the last part.
absl::Status SendRoots(Backend& backend, RootSender sender) {
  std::string after;
  do {
    Roots part;
    RETURN_IF_ERROR(backend.Query([&](const State& state, const Soft&, absl::Time) {
      after = AddRoots(state, after, kRootsPerLook, part);
    }));
    sender.Add(part);
  } while (!after.empty() && !sender.broken());
  if (!sender.broken()) sender.End();
  return absl::OkStatus();
}

}  // namespace

void Janitor::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Janitor::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Interrupt();
  if (thread_.joinable()) thread_.join();
}

void Janitor::Interrupt() {
  absl::MutexLock lock(&mutex_);
  if (call_ != nullptr) call_->TryCancel();
}

void Janitor::Run() {
  absl::Duration wait = std::min(kFirstAfter, options_.every);
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), wait)) return;
    }
    wait = options_.every;
    const absl::StatusOr<CollectedGarbage> collected = Collect({}, "the coordinator");
    if (!collected.ok()) {
      spdlog::warn("garbage collection failed, the next try is in {}: {}", absl::FormatDuration(wait),
                   collected.status().ToString());
      continue;
    }
    for (const std::string& note : collected->notes) spdlog::warn("data server: {}", note);
    for (const auto& kind : collected->response.kinds())
      spdlog::info("collected {} {}: {} bytes", kind.count(), CategoryName(kind.category()), kind.bytes());
  }
}

absl::StatusOr<CollectedGarbage> Janitor::Collect(const muster::v1::CollectGarbageRequest& request, const std::string& user) {
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  const std::string key = absl::StrCat(user, "/", request.request_id());
  absl::MutexLock lock(&collecting_);
  if (const Answer* known = request.request_id().empty() ? nullptr : answers_.Find(key); known != nullptr) {
    if (known->dry_run == request.dry_run()) return known->collected;
    return RequestIdReused(request.request_id(), known->dry_run ? "for a dry run" : "for a collection that was no dry run");
  }
  const auto operation = options_.operations->Begin({.kind = muster::v1::OPERATION_KIND_GARBAGE_COLLECTION,
                                                     .subject = request.dry_run() ? "dry run" : "",
                                                     .owner = user,
                                                     .interrupt = [this] { Interrupt(); }});
  CollectedGarbage collected;
  const absl::Status status = CollectAll(request.dry_run(), *operation, collected);
  RETURN_IF_ERROR(operation->End(status, GarbageSummary(request.dry_run(), TotalsOf(collected.response.kinds()))));
  if (!request.request_id().empty()) answers_.Insert(key, {request.dry_run(), collected});
  return collected;
}

absl::Status Janitor::CollectAll(bool dry_run, Operations::Handle& operation, CollectedGarbage& collected) {
  CollectGarbageResponse& response = collected.response;
  const auto begin = [&](const char* activity) {
    const auto [count, bytes] = TotalsOf(response.kinds());
    operation.Report({.activity = activity, .bytes = bytes, .items = count});
    return operation.Check();
  };
  RETURN_IF_ERROR(begin("records of jobs that ended long ago"));
  RETURN_IF_ERROR(RetireJobs(dry_run, response));
  RETURN_IF_ERROR(begin("logs of jobs that are no longer known"));
  RETURN_IF_ERROR(RemoveLogs(dry_run, response));
  RETURN_IF_ERROR(begin("the data server's stores, as a separate operation"));
  return Sweep(dry_run, collected);
}

absl::Status Janitor::RetireJobs(bool dry_run, CollectGarbageResponse& response) {
  while (true) {
    std::vector<std::string> expired;
    RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time now) {
      expired = ExpiredJobs(state, now - options_.keep_ended, kMostRetired);
    }));
    Count(muster::v1::GARBAGE_CATEGORY_JOBS, expired.size(), 0, response);
    if (dry_run || expired.empty()) return absl::OkStatus();
    options_.backend->Post(muster::RetireJobs{options_.keep_ended});  // the next Query comes after it
  }
}

// Lists logs before jobs, so that a job that appears in between is known.
absl::Status Janitor::RemoveLogs(bool dry_run, CollectGarbageResponse& response) {
  std::set<std::string> ids = options_.logs->Jobs();
  RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time) {
    std::erase_if(ids, [&](const std::string& id) { return state.jobs.contains(id); });
  }));
  for (const std::string& id : ids) {
    Count(muster::v1::GARBAGE_CATEGORY_LOGS, 1, options_.logs->BytesOf(id), response);
    if (!dry_run) RETURN_IF_ERROR(options_.logs->Remove(id));
  }
  return absl::OkStatus();
}

absl::Status Janitor::Sweep(bool dry_run, CollectedGarbage& collected) {
  CollectGarbageResponse& response = collected.response;
  uint64_t epoch = 0;
  RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time) { epoch = state.epoch; }));
  for (const auto& server : options_.data_servers) {
    const auto context = std::make_shared<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kSweepWithin));
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return absl::UnavailableError("the coordinator is shutting down");
      call_ = context;
    }
    SweepRequest first;
    first.set_epoch(epoch);
    first.set_unused_seconds(absl::ToInt64Seconds(options_.unused));
    first.set_dry_run(dry_run);
    SweepResponse swept;
    const auto stream = muster::internal::v1::DataPlaneService::NewStub(server)->Sweep(context.get(), &swept);
    const absl::Status sent = SendRoots(*options_.backend, RootSender(std::move(first), *stream));
    if (!sent.ok()) {
      context->TryCancel();
      stream->Finish();
      return sent;
    }
    RETURN_IF_ERROR(WithContext(FromGrpc(stream->Finish()), "data server"));
    for (std::string& note : NotesOf(*context)) collected.notes.push_back(std::move(note));
    for (const auto& kind : swept.kinds()) Count(CategoryOf(kind), kind.count(), kind.bytes(), response);
    for (const auto& item : swept.largest()) {
      *response.add_largest() = item;
      response.mutable_largest()->rbegin()->set_category(CategoryOf(item));
    }
  }
  return absl::OkStatus();
}

}  // namespace muster
