#include "coordinator/runtime/janitor.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/rpc/errors.h"
#include "common/status.h"
#include "coordinator/core/retention.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::SweepRequest;
using muster::internal::v1::SweepResponse;
using muster::v1::CollectGarbageResponse;

constexpr absl::Duration kFirstAfter = absl::Minutes(5);  // so that a coordinator that restarts often does this, too
constexpr absl::Duration kSweepWithin = absl::Minutes(10);
constexpr int kMostRoots = 10000;  // digests in one message, about 660 KB

void Count(const std::string& name, uint64_t count, uint64_t bytes, CollectGarbageResponse& response) {
  if (count == 0) return;
  for (muster::v1::GarbageKind& kind : *response.mutable_kinds()) {
    if (kind.kind() != name) continue;
    kind.set_count(kind.count() + count);
    kind.set_bytes(kind.bytes() + bytes);
    return;
  }
  muster::v1::GarbageKind& kind = *response.add_kinds();
  kind.set_kind(name);
  kind.set_count(count);
  kind.set_bytes(bytes);
}

// In messages of kMostRoots digests, the first of which is `request` with its other fields.
void SendRoots(const Roots& roots, SweepRequest request, grpc::ClientWriter<SweepRequest>& stream) {
  int count = 0;
  const auto add_all = [&](const std::set<std::string>& digests, void (SweepRequest::*add)(const std::string&)) {
    for (const std::string& digest : digests) {
      (request.*add)(digest);
      if (++count < kMostRoots) continue;
      if (!stream.Write(request)) return;
      request.Clear();
      count = 0;
    }
  };
  add_all(roots.manifests, &SweepRequest::add_manifests);
  add_all(roots.blobs, &SweepRequest::add_blobs);
  add_all(roots.datasets, &SweepRequest::add_datasets);
  request.set_last(true);
  stream.Write(request);
  stream.WritesDone();  // Finish() says why it failed, if it did
}

uint64_t BytesBelow(const std::filesystem::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) bytes += entry.file_size(error);
  return bytes;
}

}  // namespace

void Janitor::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Janitor::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  if (thread_.joinable()) thread_.join();
}

void Janitor::Run() {
  absl::Duration wait = std::min(kFirstAfter, options_.every);
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), wait)) return;
    }
    wait = options_.every;
    const absl::StatusOr<CollectGarbageResponse> collected = Collect(/*dry_run=*/false);
    if (!collected.ok()) {
      spdlog::warn("garbage collection failed, the next try is in {}: {}", absl::FormatDuration(wait),
                   collected.status().ToString());
      continue;
    }
    for (const auto& kind : collected->kinds())
      spdlog::info("collected {} {}: {} bytes", kind.count(), kind.kind(), kind.bytes());
  }
}

absl::StatusOr<CollectGarbageResponse> Janitor::Collect(bool dry_run) {
  absl::MutexLock lock(&collecting_);
  CollectGarbageResponse response;
  RETURN_IF_ERROR(RetireJobs(dry_run, response));
  RETURN_IF_ERROR(RemoveLogs(dry_run, response));
  RETURN_IF_ERROR(Sweep(dry_run, response));
  return response;
}

absl::Status Janitor::RetireJobs(bool dry_run, CollectGarbageResponse& response) {
  while (true) {
    std::vector<std::string> expired;
    RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time now) {
      expired = ExpiredJobs(state, now - options_.keep_ended, kMostRetired);
    }));
    Count("jobs", expired.size(), 0, response);
    if (dry_run || expired.empty()) return absl::OkStatus();
    options_.backend->Post(muster::RetireJobs{options_.keep_ended});  // the next Query comes after it
  }
}

// Folders first, then which jobs are known: a job that comes up in between is known by then.
absl::Status Janitor::RemoveLogs(bool dry_run, CollectGarbageResponse& response) {
  std::set<std::string> folders;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.logs, error)) {
    folders.insert(entry.path().filename().string());
  }
  RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time) {
    std::erase_if(folders, [&](const std::string& id) { return state.jobs.contains(id); });
  }));
  for (const std::string& id : folders) {
    Count("logs", 1, BytesBelow(options_.logs / id), response);
    if (dry_run) continue;
    std::filesystem::remove_all(options_.logs / id, error);
    if (error)
      return absl::ErrnoToStatus(error.value(), absl::StrCat((options_.logs / id).string(), ": cannot be removed"));
  }
  return absl::OkStatus();
}

absl::Status Janitor::Sweep(bool dry_run, CollectGarbageResponse& response) {
  Roots roots;
  uint64_t epoch = 0;
  RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time) {
    roots = RootsOf(state);
    epoch = state.epoch;
  }));
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
    SendRoots(roots, std::move(first), *stream);
    RETURN_IF_ERROR(WithContext(FromGrpc(stream->Finish()), "data server"));
    for (const auto& kind : swept.kinds()) Count(kind.kind(), kind.count(), kind.bytes(), response);
    for (const auto& item : swept.largest()) *response.add_largest() = item;
  }
  return absl::OkStatus();
}

}  // namespace muster
