#include "common/host/nvml.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"

namespace muster {
namespace {

// Declared as in nvml.h, whose interface is stable.
using Device = void*;
struct Utilization {
  unsigned gpu, memory;  // percent
};
struct Memory {
  unsigned long long total, free, used;
};
struct EventData {
  Device device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};
constexpr unsigned kTemperatureGpu = 0, kUncorrected = 1, kVolatile = 0;
constexpr unsigned long long kXidEvent = 0x8;

template <typename Function>
bool LoadOne(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

struct Nvml::Functions {
  int (*init)();
  int (*shutdown)();
  int (*count)(unsigned*);
  int (*device)(unsigned, Device*);
  int (*name)(Device, char*, unsigned);
  int (*uuid)(Device, char*, unsigned);
  int (*driver)(char*, unsigned);
  // Older drivers may lack these functions.
  int (*utilization)(Device, Utilization*);
  int (*memory)(Device, Memory*);
  int (*temperature)(Device, unsigned, unsigned*);
  int (*throttle)(Device, unsigned long long*);
  int (*ecc)(Device, unsigned, unsigned, unsigned long long*);
  int (*make_events)(void**);
  int (*free_events)(void*);
  int (*register_events)(Device, unsigned long long, void*);
  int (*wait)(void*, EventData*, unsigned);
};

const std::vector<ThrottleReason>& ThrottleReasons() {
  static const auto* const reasons = new std::vector<ThrottleReason>{{"software_power", 0x4},
                                                                     {"hardware", 0x8},
                                                                     {"software_thermal", 0x20},
                                                                     {"hardware_thermal", 0x40},
                                                                     {"power_brake", 0x80}};
  return *reasons;
}

absl::StatusOr<std::unique_ptr<Nvml>> Nvml::Open(const std::string& library) {
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return absl::NotFoundError(absl::StrCat("this host has no NVIDIA driver (", library, " is not installed)"));
  }
  std::unique_ptr<Nvml> nvml(new Nvml(handle));
  RETURN_IF_ERROR(nvml->Load());
  return nvml;
}

Nvml::Nvml(void* library) : library_(library), call_(std::make_unique<Functions>()) {}

Nvml::~Nvml() {
  if (events_ != nullptr && call_->free_events != nullptr) call_->free_events(events_);
  if (initialized_) call_->shutdown();
  dlclose(library_);
}

absl::Status Nvml::Load() {
  Functions& f = *call_;
  if (!LoadOne(library_, "nvmlInit_v2", f.init) || !LoadOne(library_, "nvmlShutdown", f.shutdown) ||
      !LoadOne(library_, "nvmlDeviceGetCount_v2", f.count) ||
      !LoadOne(library_, "nvmlDeviceGetHandleByIndex_v2", f.device) ||
      !LoadOne(library_, "nvmlDeviceGetName", f.name) || !LoadOne(library_, "nvmlDeviceGetUUID", f.uuid) ||
      !LoadOne(library_, "nvmlSystemGetDriverVersion", f.driver)) {
    return absl::FailedPreconditionError("the NVIDIA driver is older than 418");
  }
  LoadOne(library_, "nvmlDeviceGetUtilizationRates", f.utilization);
  LoadOne(library_, "nvmlDeviceGetMemoryInfo", f.memory);
  LoadOne(library_, "nvmlDeviceGetTemperature", f.temperature);
  LoadOne(library_, "nvmlDeviceGetCurrentClocksThrottleReasons", f.throttle);
  LoadOne(library_, "nvmlDeviceGetTotalEccErrors", f.ecc);
  const bool events = LoadOne(library_, "nvmlEventSetCreate", f.make_events) &&
                      LoadOne(library_, "nvmlEventSetFree", f.free_events) &&
                      LoadOne(library_, "nvmlDeviceRegisterEvents", f.register_events) &&
                      LoadOne(library_, "nvmlEventSetWait_v2", f.wait);
  if (f.init() != 0) return absl::UnavailableError("the NVIDIA driver does not answer");
  initialized_ = true;
  unsigned count = 0;
  if (f.count(&count) == 0) count_ = count;
  if (!events || f.make_events(&events_) != 0) {
    events_ = nullptr;
    return absl::OkStatus();
  }
  for (uint32_t i = 0; i < count_; ++i) {
    Device device = nullptr;
    if (f.device(i, &device) == 0) f.register_events(device, kXidEvent, events_);
  }
  return absl::OkStatus();
}

std::string Nvml::Driver() const {
  char version[96] = {};
  return call_->driver(version, sizeof(version)) == 0 ? version : "";
}

std::optional<std::string> Nvml::Name(uint32_t index) const {
  Device device = nullptr;
  char name[96] = {};
  if (call_->device(index, &device) != 0 || call_->name(device, name, sizeof(name)) != 0) return std::nullopt;
  return std::string(name);
}

std::string Nvml::Uuid(uint32_t index) const {
  Device device = nullptr;
  char uuid[96] = {};
  if (call_->device(index, &device) != 0 || call_->uuid(device, uuid, sizeof(uuid)) != 0) return "";
  return uuid;
}

GpuReading Nvml::Read(uint32_t index) const {
  const Functions& f = *call_;
  GpuReading reading;
  Device device = nullptr;
  if (f.device(index, &device) != 0) return reading;
  Utilization utilization = {};
  if (f.utilization != nullptr && f.utilization(device, &utilization) == 0) {
    reading.utilization = utilization.gpu / 100.0;
  }
  Memory memory = {};
  if (f.memory != nullptr && f.memory(device, &memory) == 0) {
    reading.memory_used = memory.used;
    reading.memory_size = memory.total;
  }
  unsigned temperature = 0;
  if (f.temperature != nullptr && f.temperature(device, kTemperatureGpu, &temperature) == 0) {
    reading.temperature = temperature;
  }
  unsigned long long number = 0;
  if (f.throttle != nullptr && f.throttle(device, &number) == 0) reading.throttle = number;
  if (f.ecc != nullptr && f.ecc(device, kUncorrected, kVolatile, &number) == 0) reading.ecc_errors = number;
  return reading;
}

std::optional<uint32_t> Nvml::WaitForXid(absl::Duration timeout) {
  const absl::Time until = absl::Now() + timeout;
  EventData event = {};
  if (events_ != nullptr &&
      call_->wait(events_, &event, static_cast<unsigned>(absl::ToInt64Milliseconds(timeout))) == 0) {
    for (uint32_t i = 0; i < count_; ++i) {
      Device device = nullptr;
      if (call_->device(i, &device) == 0 && device == event.device && (event.type & kXidEvent) != 0) return i;
    }
    return std::nullopt;
  }
  // A driver without events answers at once.
  if (const absl::Duration left = until - absl::Now(); left > absl::ZeroDuration()) absl::SleepFor(left);
  return std::nullopt;
}

}  // namespace muster
