// The GPUs' metrics: a thread that reads NVML every few seconds and receives XID errors as they occur.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <thread>

#include "absl/time/time.h"
#include "common/metrics/registry.h"
#include "common/host/nvml.h"

namespace muster {

// Not thread-safe.
class GpuMetrics {
 public:
  explicit GpuMetrics(MetricRegistry& metrics);
  void Set(uint32_t gpu, const GpuReading& reading);
  void End();  // of a round over all GPUs: series that were not set are removed
  void CountXid(uint32_t gpu);

 private:
  GaugeRound utilization_, memory_used_, memory_size_, temperature_, throttled_;
  CounterFamily errors_;
  std::map<uint32_t, uint64_t> ecc_;  // as last seen
};

class GpuWatch {
 public:
  // Takes the first reading at once, and continues until it is destroyed.
  GpuWatch(std::unique_ptr<Nvml> nvml, MetricRegistry& metrics, absl::Duration interval = absl::Seconds(5));
  ~GpuWatch();

 private:
  void Run(absl::Duration interval);
  void Sample();

  const std::unique_ptr<Nvml> nvml_;
  GpuMetrics metrics_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace muster
