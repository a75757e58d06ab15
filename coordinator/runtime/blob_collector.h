// Deletes the blobs of checkpoints that jobs dropped, one manifest after the other, in a separate thread. A manifest that
// cannot be collected is retried later and does not block others. Those that remain when the coordinator ends are deleted after
// its next start, because the journal remembers them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/blobs.h"
#include "coordinator/service/backend.h"
#include "muster/v1/blob.pb.h"

namespace grpc {
class Channel;
}

namespace muster {

class BlobCollector {
 public:
  explicit BlobCollector(std::vector<std::shared_ptr<grpc::Channel>> data_servers);
  ~BlobCollector();

  void Start(Backend* backend);
  void Collect(const std::string& manifest);  // any thread
  void Stop();

 private:
  struct Dropped {
    std::string manifest;
    absl::Duration let_go;  // monotonic
    absl::Duration wait;    // after the last failure
  };
  void Run();
  absl::Status CollectFromAll(const Dropped& dropped);
  // The kept manifests that the server has. A damaged manifest keeps no blobs, because it can never be read again.
  absl::StatusOr<std::vector<muster::v1::FileManifest>> KeptManifests(BlobClient& client,
                                                                      const std::set<std::string>& digests);
  absl::Status CollectFrom(const std::shared_ptr<grpc::Channel>& server, const Dropped& dropped);

  const std::vector<std::shared_ptr<grpc::Channel>> servers_;
  Backend* backend_ = nullptr;
  std::map<std::string, muster::v1::FileManifest> known_;  // by digest; only for the thread

  absl::Mutex mutex_;
  std::multimap<absl::Duration, Dropped> queue_ ABSL_GUARDED_BY(mutex_);  // by when to try
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
