// Metrics of what the data server stores: a thread scans the state folder regularly, so that a scrape is cheap
// however large the folder is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/metrics/registry.h"
#include "coordinator/data/service/data_stores.h"

namespace muster {

// Bytes of all regular files below `folder`; files that come and go during the scan may or may not be counted.
uint64_t BytesBelow(const std::filesystem::path& folder);

class StoreWatch {
 public:
  // When the constructor returns, every metric except the bytes has been set once. `folder`: the state folder, whose volume is
  // watched.
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
