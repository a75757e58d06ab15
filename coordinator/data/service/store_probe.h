// Reads something small from the catalog once per second; each answer is a sign of life of the data server.
#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/health.h"
#include "coordinator/data/store/catalogue.h"

namespace muster {

class StoreProbe {
 public:
  // Both must outlive the probe.
  StoreProbe(const Catalogue& catalogue, HealthServer& health);
  ~StoreProbe();

 private:
  void Run();

  const Catalogue& catalogue_;
  HealthServer& health_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
