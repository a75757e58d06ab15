#include "worker/agent/gpu_watch.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/clock.h"

namespace muster {
namespace {

constexpr absl::Duration kWait = absl::Milliseconds(200);  // short, so that the agent can end quickly

}  // namespace

GpuMetrics::GpuMetrics(MetricRegistry& metrics)
    : utilization_(metrics.Gauges("muster_gpu_utilization_ratio")),
      memory_used_(metrics.Gauges("muster_gpu_memory_used_bytes")),
      memory_size_(metrics.Gauges("muster_gpu_memory_size_bytes")),
      temperature_(metrics.Gauges("muster_gpu_temperature_celsius")),
      throttled_(metrics.Gauges("muster_gpu_throttled")),
      errors_(metrics.Counters("muster_gpu_errors_total")) {}

void GpuMetrics::Set(uint32_t gpu, const GpuReading& reading) {
  const std::string label = std::to_string(gpu);
  if (reading.utilization.has_value()) utilization_.Set({label}, *reading.utilization);
  if (reading.memory_used.has_value()) memory_used_.Set({label}, static_cast<double>(*reading.memory_used));
  if (reading.memory_size.has_value()) memory_size_.Set({label}, static_cast<double>(*reading.memory_size));
  if (reading.temperature.has_value()) temperature_.Set({label}, *reading.temperature);
  if (reading.throttle.has_value()) {
    for (const ThrottleReason& reason : ThrottleReasons()) {
      throttled_.Set({label, reason.name}, (*reading.throttle & reason.bit) != 0);
    }
  }
  errors_.With({label, "xid"});
  if (reading.ecc_errors.has_value()) {
    prometheus::Counter& counter = errors_.With({label, "ecc"});
    const auto known = ecc_.try_emplace(gpu, *reading.ecc_errors).first;
    // The driver's count restarts with the driver.
    const uint64_t more = *reading.ecc_errors > known->second ? *reading.ecc_errors - known->second : 0;
    counter.Increment(static_cast<double>(more));
    known->second = *reading.ecc_errors;
  }
}

void GpuMetrics::End() {
  for (GaugeRound* round : {&utilization_, &memory_used_, &memory_size_, &temperature_, &throttled_}) round->End();
}

void GpuMetrics::CountXid(uint32_t gpu) { errors_.With({std::to_string(gpu), "xid"}).Increment(); }

GpuWatch::GpuWatch(std::unique_ptr<Nvml> nvml, MetricRegistry& metrics, absl::Duration interval)
    : nvml_(std::move(nvml)), metrics_(metrics) {
  Sample();
  thread_ = std::thread([this, interval] { Run(interval); });
}

GpuWatch::~GpuWatch() {
  stopping_ = true;
  thread_.join();
}

void GpuWatch::Run(absl::Duration interval) {
  absl::Duration next = RealClock().Monotonic() + interval;
  while (!stopping_) {
    if (const auto gpu = nvml_->WaitForXid(std::min(kWait, interval)); gpu.has_value()) {
      spdlog::error("GPU {} reported an XID error; see the kernel's log", *gpu);
      metrics_.CountXid(*gpu);
    }
    if (RealClock().Monotonic() < next) continue;
    next = RealClock().Monotonic() + interval;
    Sample();
  }
}

void GpuWatch::Sample() {
  for (uint32_t gpu = 0; gpu < nvml_->count(); ++gpu) metrics_.Set(gpu, nvml_->Read(gpu));
  metrics_.End();
}

}  // namespace muster
