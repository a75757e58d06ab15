// For tests: a coordinator's rendezvous, a data server and a blob store in one process, with faults on demand.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/security.h"
#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/data.grpc.pb.h"
#include "muster/v1/worker.grpc.pb.h"

namespace muster {

class FakeRendezvous final : public muster::v1::WorkerService::Service {
 public:
  uint32_t attempt = 1;  // other ones are stale
  grpc::Status Rendezvous(grpc::ServerContext*, const muster::v1::RendezvousRequest* request,
                          muster::v1::RendezvousResponse* response) override;
  // Call between two runs of one attempt: ranks would meet at addresses of ranks that have ended.
  void Clear();

 private:
  absl::Mutex mutex_;
  std::map<uint32_t, std::map<std::string, std::string>> attempts_ ABSL_GUARDED_BY(mutex_);
};

// Steps and evaluations of train/problem.h; an epoch has resolved.steps_per_epoch of them.
class FakeData final : public muster::v1::DataService::Service {
 public:
  uint32_t attempt = 1;
  std::atomic<bool> other_query = false;  // step 1 holds another query than its epoch says
  std::atomic<bool> other_plan = false;   // rank 1's plans are others than rank 0's
  std::atomic<int> break_after = 0;  // a stream is UNAVAILABLE after so many messages; 0: never
  grpc::Status Stream(grpc::ServerContext*, const muster::v1::StreamRequest* request,
                      grpc::ServerWriter<muster::v1::StepShare>* writer) override;
  grpc::Status StreamEvaluation(grpc::ServerContext*, const muster::v1::StreamEvaluationRequest* request,
                                grpc::ServerWriter<muster::v1::StreamEvaluationResponse>* writer) override;
  std::vector<uint64_t> asked() const;  // from_step of each call of Stream

 private:
  mutable absl::Mutex mutex_;
  std::vector<uint64_t> asked_ ABSL_GUARDED_BY(mutex_);
};

class FakeBlobs final : public muster::v1::BlobService::Service {
 public:
  grpc::Status Put(grpc::ServerContext*, grpc::ServerReader<muster::v1::PutRequest>* reader,
                   muster::v1::PutResponse* response) override;
  grpc::Status Get(grpc::ServerContext*, const muster::v1::GetRequest* request,
                   grpc::ServerWriter<muster::v1::GetResponse>* writer) override;
  grpc::Status Stat(grpc::ServerContext*, const muster::v1::StatBlobsRequest* request,
                    muster::v1::StatBlobsResponse* response) override;
  void Forget(const std::string& digest);

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
};

struct FakeCluster {
  FakeCluster();
  void Stop();     // breaks every call
  void Restart();  // where it listened before
  std::shared_ptr<grpc::Channel> Channel() const;
  std::string address() const;

  FakeRendezvous rendezvous;
  FakeData data;
  FakeBlobs blobs;
  std::unique_ptr<RpcServer> server;
  int port = 0;
};

}  // namespace muster
