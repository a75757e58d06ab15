#include "coordinator/runtime/blob_collector.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/rpc/blobs.h"
#include "common/rpc/errors.h"
#include "common/status.h"
#include "coordinator/core/retention.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/model.grpc.pb.h"

namespace muster {
namespace {

constexpr absl::Duration kFirstRetry = absl::Seconds(5), kLastRetry = absl::Minutes(10);
constexpr size_t kPage = 1000;  // manifests read in one query of the state
constexpr absl::Duration kPatience = absl::Seconds(3);

void SetDeadline(grpc::ClientContext& context) {
  context.set_wait_for_ready(true);  // see common/rpc/retry.h
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kPatience));
}

}  // namespace

BlobCollector::BlobCollector(std::vector<std::shared_ptr<grpc::Channel>> data_servers)
    : servers_(std::move(data_servers)) {}

BlobCollector::~BlobCollector() { Stop(); }

void BlobCollector::Start(Backend* backend) {
  backend_ = backend;
  thread_ = std::thread([this] { Run(); });
}

void BlobCollector::Collect(const std::string& manifest) {
  const absl::Duration now = RealClock().Monotonic();
  absl::MutexLock lock(&mutex_);
  queue_.emplace(now, Dropped{.manifest = manifest, .let_go = now});
}

void BlobCollector::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void BlobCollector::Run() {
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || (!queue_.empty() && queue_.begin()->first <= RealClock().Monotonic());
  };
  while (true) {
    Dropped dropped;
    {
      absl::MutexLock lock(&mutex_);
      while (!ready()) {
        // Waits for the next retry, or for a manifest that arrives and may be tried sooner.
        const auto first = queue_.empty() ? absl::InfiniteDuration() : queue_.begin()->first;
        const size_t size = queue_.size();
        const auto changed = [this, size]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || queue_.size() != size; };
        mutex_.AwaitWithTimeout(absl::Condition(&changed), first - RealClock().Monotonic());
      }
      if (stopping_) return;
      dropped = queue_.begin()->second;
      queue_.erase(queue_.begin());
    }
    const absl::Status status = CollectFromAll(dropped);
    if (status.ok()) {
      backend_->Post(BlobsCollected{dropped.manifest});
      continue;
    }
    dropped.wait = std::clamp(2 * dropped.wait, kFirstRetry, kLastRetry);
    spdlog::warn("blobs of checkpoint {} are not deleted yet, the next try is in {}: {}", dropped.manifest,
                 absl::FormatDuration(dropped.wait), status.ToString());
    absl::MutexLock lock(&mutex_);
    queue_.emplace(RealClock().Monotonic() + dropped.wait, dropped);
  }
}

absl::Status BlobCollector::CollectFromAll(const Dropped& dropped) {
  for (const auto& server : servers_) RETURN_IF_ERROR(CollectFrom(server, dropped));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<muster::v1::FileManifest>> BlobCollector::KeptManifests(
    BlobClient& client, const std::set<std::string>& digests) {
  std::erase_if(known_, [&](const auto& known) { return !digests.contains(known.first); });
  std::vector<muster::v1::FileManifest> kept;
  for (const std::string& digest : digests) {
    if (!known_.contains(digest)) {
      absl::StatusOr<muster::v1::FileManifest> read = client.GetManifest(digest);
      if (absl::IsDataLoss(read.status())) read = client.GetManifest(digest);  // perhaps damaged only in transit
      if (absl::IsNotFound(read.status())) continue;  // this server has none of its blobs
      if (absl::IsDataLoss(read.status())) {
        spdlog::warn("manifest {} is damaged: {}", digest, read.status().ToString());
        continue;
      }
      RETURN_IF_ERROR(read.status());
      known_[digest] = *std::move(read);
    }
    kept.push_back(known_[digest]);
  }
  return kept;
}

absl::Status BlobCollector::CollectFrom(const std::shared_ptr<grpc::Channel>& server, const Dropped& taken) {
  const std::string& manifest = taken.manifest;
  std::set<std::string> manifests, blobs;
  bool dropped = false;
  std::vector<std::string> page;
  // In pages, so that the loop is never blocked for all of them. If something new is referred to between pages, the code that
  // stores it claims the blob, just as after the last page.
  do {
    RETURN_IF_ERROR(backend_->Query([&](const State& state, const Soft&, absl::Time) {
      dropped = state.garbage.contains(manifest) && !IsReferenced(state, manifest);
      page = ReferencedManifests(state, page.empty() ? "" : page.back(), kPage);
      blobs = ReferencedBlobs(state);
    }));
    if (!dropped) return absl::OkStatus();
    manifests.insert(page.begin(), page.end());
  } while (page.size() == kPage);
  {
    const auto stub = muster::v1::ModelService::NewStub(server);
    muster::v1::ListModelsRequest request;
    request.set_page_size(1000);
    do {
      grpc::ClientContext context;
      SetDeadline(context);
      muster::v1::ListModelsResponse models;
      RETURN_IF_ERROR(FromGrpc(stub->ListModels(&context, request, &models)));
      for (const muster::v1::Model& model : models.models()) manifests.insert(model.manifest());
      request.set_page_token(models.next_page_token());
    } while (!request.page_token().empty());
  }
  if (manifests.contains(manifest)) return absl::OkStatus();
  BlobClient client(server, kPatience);
  ASSIGN_OR_RETURN(const std::vector<muster::v1::FileManifest> kept, KeptManifests(client, manifests));
  blobs.insert(manifests.begin(), manifests.end());
  absl::StatusOr<muster::v1::FileManifest> gone = client.GetManifest(manifest);
  if (absl::IsNotFound(gone.status())) return absl::OkStatus();
  if (absl::IsDataLoss(gone.status())) gone = muster::v1::FileManifest();  // its files go when nothing uses them
  RETURN_IF_ERROR(gone.status());
  muster::internal::v1::DeleteBlobsRequest request;
  for (const std::string& digest : BlobsToDelete(manifest, *gone, kept, blobs)) request.add_digests(digest);
  request.set_let_go_milliseconds(absl::ToInt64Milliseconds(RealClock().Monotonic() - taken.let_go));
  grpc::ClientContext context;
  SetDeadline(context);
  muster::internal::v1::DeleteBlobsResponse response;
  RETURN_IF_ERROR(
      FromGrpc(muster::internal::v1::DataPlaneService::NewStub(server)->DeleteBlobs(&context, request, &response)));
  known_.erase(manifest);
  return absl::OkStatus();
}

}  // namespace muster
