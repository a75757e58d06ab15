// For tests: a data server and scripted agents, over real gRPC with mTLS.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/security.h"
#include "coordinator/runtime/coordinator.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "muster/internal/v1/worker.grpc.pb.h"
#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/job.grpc.pb.h"
#include "muster/v1/model.grpc.pb.h"

namespace muster {

// Answers Resolve and Preview, and keeps blobs in memory.
class FakeData final : public muster::internal::v1::DataPlaneService::Service {
 public:
  grpc::Status Resolve(grpc::ServerContext* context, const muster::internal::v1::ResolveRequest* request,
                       muster::internal::v1::ResolveResponse* response) override;
  grpc::Status Preview(grpc::ServerContext* context, const muster::internal::v1::PreviewRequest* request,
                       muster::internal::v1::PreviewResponse* response) override;
  grpc::Status Sweep(grpc::ServerContext* context, grpc::ServerReader<muster::internal::v1::SweepRequest>* reader,
                     muster::internal::v1::SweepResponse* response) override;  // removes nothing
  grpc::Status DeleteBlobs(grpc::ServerContext*, const muster::internal::v1::DeleteBlobsRequest* request,
                           muster::internal::v1::DeleteBlobsResponse*) override;

  class Blobs final : public muster::v1::BlobService::Service {
   public:
    grpc::Status GetBlob(grpc::ServerContext*, const muster::v1::GetBlobRequest* request,
                         grpc::ServerWriter<muster::v1::GetBlobResponse>* writer) override;
    std::string Put(const std::string& bytes);
    // Removes all of them atomically.
    void Delete(const google::protobuf::RepeatedPtrField<std::string>& digests);
    bool Has(const std::string& digest);
    void Refuse(const std::string& digest);  // refuses to serve it
    bool WaitUntilGone(const std::string& digest, absl::Duration wait);

   private:
    absl::Mutex mutex_;
    std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
    std::set<std::string> refused_ ABSL_GUARDED_BY(mutex_);
  };
  class Models final : public muster::v1::ModelService::Service {
   public:
    grpc::Status ListModels(grpc::ServerContext*, const muster::v1::ListModelsRequest*,
                            muster::v1::ListModelsResponse*) override {
      return grpc::Status::OK;
    }
  };
  Blobs blobs;
  Models models;
  std::string last_job_model_manifest;
  bool knows_checkpoints = true;  // false: like a version without checkpoints
};

// One agent's session. Reads in a separate thread; the test decides what it reports.
class FakeAgent {
 public:
  FakeAgent(std::shared_ptr<grpc::Channel> channel, const std::string& name, uint32_t slots,
            const std::string& instance = "one");
  ~FakeAgent();

  // Waits until the newest desired state fits, at most 10 s.
  bool WaitForDesired(const std::function<bool(const muster::internal::v1::DesiredState&)>& fits);
  bool WaitForAck(uint64_t sequence);
  bool WaitForAssignment(const std::string& job, muster::internal::v1::AssignmentPhase phase, uint32_t attempt = 1);
  bool WaitForNothing();  // no assignments
  uint64_t epoch();

  uint64_t Send(muster::internal::v1::Report report);  // returns its sequence
  void Send(muster::internal::v1::AgentMessage message);
  // Reports Prepared and then, when it should run, RankStarted of `ranks`. False: that did not happen in time.
  bool Begin(const std::string& job, const std::vector<uint32_t>& ranks, uint32_t attempt = 1);
  uint64_t Exit(const std::string& job, uint32_t attempt, uint32_t rank, muster::internal::v1::ExitCause cause,
                const std::string& message = "");
  grpc::Status Finish();  // closes and returns the stream's status

 private:
  grpc::ClientContext context_;
  std::unique_ptr<muster::internal::v1::WorkerService::Stub> stub_;
  std::unique_ptr<
      grpc::ClientReaderWriter<muster::internal::v1::AgentMessage, muster::internal::v1::CoordinatorMessage>>
      stream_;
  absl::Mutex mutex_;
  muster::internal::v1::DesiredState desired_ ABSL_GUARDED_BY(mutex_);
  uint64_t acked_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  bool told_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t sequence_ = 0;
  bool finished_ = false;
  std::thread reader_;
};

// Authority, certificates, data server, and a coordinator that can be restarted.
class FakeCluster {
 public:
  static absl::StatusOr<std::unique_ptr<FakeCluster>> Start();
  ~FakeCluster();

  absl::Status StartCoordinator();
  void StopCoordinator() { coordinator_.reset(); }
  void StopDataServer() { data_server_.reset(); }
  std::shared_ptr<grpc::Channel> ChannelAs(Role role, const std::string& name);
  std::unique_ptr<muster::v1::JobService::Stub> Jobs();
  const Coordinator& coordinator() const { return *coordinator_; }
  FakeData& data() { return data_; }
  const std::filesystem::path& folder() const { return folder_; }
  // Options for the next StartCoordinator.
  uint64_t min_free_bytes = 0;
  std::filesystem::path tokens;
  UserLimits limits = {.calls_per_second = 0};
  uint32_t max_active_jobs = 0;

 private:
  std::filesystem::path folder_;
  FakeData data_;
  std::unique_ptr<RpcServer> data_server_;
  std::unique_ptr<Coordinator> coordinator_;
};

// A valid specification of a job that trains on `slots` CPU slots.
muster::v1::JobSpec SmallJob(uint32_t slots);

}  // namespace muster
