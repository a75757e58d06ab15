// Metrics of what the data server keeps: a thread that looks at the state folder now and then, so that a scrape is
// cheap however much lies there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/metrics/registry.h"
#include "coordinator/data/service/data_stores.h"

namespace muster {

// Bytes of all regular files below `folder`; files that come and go meanwhile are counted or not.
uint64_t BytesBelow(const std::filesystem::path& folder);

class StoreWatch {
 public:
  // Has looked at everything but the bytes once when it returns. `folder`: the state folder, whose volume is watched.
  StoreWatch(const DataStores& stores, std::filesystem::path folder, MetricRegistry& metrics,
             absl::Duration interval = absl::Seconds(5), absl::Duration bytes_interval = absl::Minutes(1));
  ~StoreWatch();

 private:
  void Look();
  void CountBytes();
  void Run(absl::Duration interval, absl::Duration bytes_interval);

  const DataStores& stores_;
  const std::filesystem::path folder_;
  prometheus::Gauge& datasets_;
  prometheus::Gauge& models_;
  prometheus::Gauge& free_;
  prometheus::Gauge& size_;
  GaugeRound bytes_;
  absl::Notification stopping_;
  std::thread thread_;
};

}  // namespace muster
