// Asks the data server every two seconds whether it answers, and notifies the event loop when that changes. Ranks that
// report it as unreachable are believed only while the coordinator cannot reach it either.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/service/backend.h"

namespace muster {

class DataServerProbe {
 public:
  struct Options {
    Backend* backend = nullptr;
    std::shared_ptr<grpc::Channel> channel;
    std::string address;
    absl::Duration every = absl::Seconds(2), answer_within = absl::Seconds(2);
  };
  explicit DataServerProbe(Options options);
  ~DataServerProbe() { Stop(); }
  void Stop();  // idempotent

 private:
  void Run();

  const Options options_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
