// NVML, the library of NVIDIA's driver. Opened at run time, because agent and doctor also run on hosts without a
// driver.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster {

// Readings of one GPU; a reading that it does not support is absent.
struct GpuReading {
  std::optional<double> utilization;  // of the last sampling period, 0 to 1
  std::optional<uint64_t> memory_used, memory_size;  // bytes
  std::optional<uint32_t> temperature;               // degrees Celsius
  std::optional<uint64_t> throttle;                  // NVML's bits of reasons, see ThrottleReasons
  std::optional<uint64_t> ecc_errors;                // uncorrected, since the driver was loaded
};

// A reason why the driver reduces clocks: the value of the metric's label, and NVML's bit.
struct ThrottleReason {
  const char* name;
  uint64_t bit;
};
const std::vector<ThrottleReason>& ThrottleReasons();

// Not thread-safe. Calls may take milliseconds.
class Nvml {
 public:
  // NOT_FOUND: there is no such library. FAILED_PRECONDITION: it is too old. UNAVAILABLE: no driver answers.
  static absl::StatusOr<std::unique_ptr<Nvml>> Open(const std::string& library = "libnvidia-ml.so.1");
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  uint32_t count() const { return count_; }
  std::string Driver() const;  // its version; empty: unknown
  std::optional<std::string> Name(uint32_t index) const;
  std::string Uuid(uint32_t index) const;  // empty: unknown
  GpuReading Read(uint32_t index) const;

  // Waits at most `timeout` for the next XID error of any GPU, and returns that GPU's index. Returns nothing, after the
  // full wait, if none occurred or the driver cannot report them.
  std::optional<uint32_t> WaitForXid(absl::Duration timeout);

 private:
  struct Functions;
  explicit Nvml(void* library);
  absl::Status Load();

  void* const library_;
  const std::unique_ptr<Functions> call_;
  bool initialized_ = false;
  uint32_t count_ = 0;
  void* events_ = nullptr;  // null: no events
};

}  // namespace muster
