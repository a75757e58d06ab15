// For tests: a coordinator's rendezvous, a data server and a blob store in one process, with faults on demand.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/security.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "muster/internal/v1/worker.grpc.pb.h"
#include "muster/v1/blob.grpc.pb.h"

namespace muster {

class FakeRendezvous final : public muster::internal::v1::WorkerService::Service {
 public:
  uint32_t attempt = 1;  // calls with another attempt number are stale
  grpc::Status Rendezvous(grpc::ServerContext*, const muster::internal::v1::RendezvousRequest* request,
                          muster::internal::v1::RendezvousResponse* response) override;
  // Call it between two runs of one attempt, or ranks would connect to addresses of ranks that have ended.
  void Clear();

 private:
  absl::Mutex mutex_;
  std::map<uint32_t, std::map<std::string, std::string>> attempts_ ABSL_GUARDED_BY(mutex_);
};

// Steps and evaluations of train/problem.h; an epoch has resolved.steps_per_epoch of them, and each stage begins with the
// first step.
class FakeData final : public muster::internal::v1::DataPlaneService::Service {
 public:
  uint32_t attempt = 1;
  std::atomic<bool> other_query = false;  // step 1 holds a query that is not in its epoch
  std::atomic<bool> other_plan = false;   // rank 1's plans differ from rank 0's
  std::atomic<bool> no_negative = false;  // in step 1 all passages are relevant to all queries
  std::atomic<int> break_after = 0;  // a stream becomes UNAVAILABLE after this many messages; 0: never
  // Whether a stream that began at step `from` may send the share of `step`; called until it returns true. Empty: always.
  std::function<bool(uint64_t from, uint64_t step)> may_send;
  grpc::Status Stream(grpc::ServerContext* context, const muster::internal::v1::StreamRequest* request,
                      grpc::ServerWriter<muster::internal::v1::StepShare>* writer) override;
  grpc::Status StreamEvaluation(grpc::ServerContext*, const muster::internal::v1::StreamEvaluationRequest* request,
                                grpc::ServerWriter<muster::internal::v1::StreamEvaluationResponse>* writer) override;
  // Publishes whatever it receives, as dataset mine.out. `before_publish` is like FakeBlobs::before_put.
  std::function<absl::Status()> before_publish;
  grpc::Status PublishMined(grpc::ServerContext*, const muster::internal::v1::PublishMinedRequest* request,
                            grpc::ServerWriter<muster::internal::v1::PublishMinedResponse>* writer) override;
  std::vector<std::string> published() const;  // blobs
  std::vector<uint64_t> asked() const;  // from_step of each call of Stream

 private:
  mutable absl::Mutex mutex_;
  std::vector<uint64_t> asked_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> published_ ABSL_GUARDED_BY(mutex_);
};

class FakeBlobs final : public muster::v1::BlobService::Service {
 public:
  grpc::Status PutBlob(grpc::ServerContext*, grpc::ServerReader<muster::v1::PutBlobRequest>* reader,
                       muster::v1::PutBlobResponse* response) override;
  grpc::Status GetBlob(grpc::ServerContext*, const muster::v1::GetBlobRequest* request,
                       grpc::ServerWriter<muster::v1::GetBlobResponse>* writer) override;
  grpc::Status StatBlobs(grpc::ServerContext*, const muster::v1::StatBlobsRequest* request,
                         muster::v1::StatBlobsResponse* response) override;
  void Forget(const std::string& digest);
  void Damage(const std::string& digest);  // its bytes change

  // Runs before each call; if it returns an error, so does the call. May be empty. Set it while no call runs.
  std::function<absl::Status()> before_put;
  std::function<absl::Status(const std::string& digest)> before_get;

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
};

struct FakeCluster {
  FakeCluster();
  void Stop();     // breaks every call
  void Restart();  // on the same port
  std::shared_ptr<grpc::Channel> Channel() const;
  std::string address() const;

  FakeRendezvous rendezvous;
  FakeData data;
  FakeBlobs blobs;
  std::unique_ptr<RpcServer> server;
  int port = 0;
};

}  // namespace muster
