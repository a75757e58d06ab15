// Deletes the blobs of checkpoints that jobs dropped, one manifest after the other, on a thread of its own. What is
// left when the coordinator ends is deleted after its next start, because the journal remembers it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
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
  };
  void Run();
  absl::Status CollectFrom(const std::shared_ptr<grpc::Channel>& server, const Dropped& dropped);

  const std::vector<std::shared_ptr<grpc::Channel>> servers_;
  Backend* backend_ = nullptr;
  std::map<std::string, muster::v1::FileManifest> known_;  // by digest; the thread's own

  absl::Mutex mutex_;
  std::deque<Dropped> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
