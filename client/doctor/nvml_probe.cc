#include "client/doctor/nvml_probe.h"

#include <dlfcn.h>

#include <utility>

namespace muster {
namespace {

// NVML's C interface (nvml.h, stable since driver 418).
using Device = struct NvmlDeviceHandle*;
constexpr int kUncorrected = 1, kSinceDriverStart = 0, kGpuSensor = 0;

struct Nvml {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*driver)(char*, unsigned) = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*device)(unsigned, Device*) = nullptr;
  int (*name)(Device, char*, unsigned) = nullptr;
  int (*errors)(Device, int, int, unsigned long long*) = nullptr;
  int (*throttle)(Device, unsigned long long*) = nullptr;
  int (*temperature)(Device, int, unsigned*) = nullptr;
};

template <typename Function>
bool Load(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool LoadAll(void* library, Nvml& nvml) {
  return Load(library, "nvmlInit_v2", nvml.init) && Load(library, "nvmlShutdown", nvml.shutdown) &&
         Load(library, "nvmlSystemGetDriverVersion", nvml.driver) &&
         Load(library, "nvmlDeviceGetCount_v2", nvml.count) &&
         Load(library, "nvmlDeviceGetHandleByIndex_v2", nvml.device) && Load(library, "nvmlDeviceGetName", nvml.name) &&
         Load(library, "nvmlDeviceGetTotalEccErrors", nvml.errors) &&
         Load(library, "nvmlDeviceGetCurrentClocksThrottleReasons", nvml.throttle) &&
         Load(library, "nvmlDeviceGetTemperature", nvml.temperature);
}

void Read(const Nvml& nvml, NvmlFacts& facts) {
  char driver[96] = {};
  if (nvml.driver(driver, sizeof(driver)) == 0) facts.driver = driver;
  unsigned count = 0;
  if (nvml.count(&count) != 0) return;
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    char name[96] = {};
    if (nvml.device(i, &device) != 0) continue;
    GpuFacts gpu;
    gpu.index = static_cast<int>(i);
    if (nvml.name(device, name, sizeof(name)) == 0) gpu.name = name;
    unsigned long long number = 0;
    if (nvml.errors(device, kUncorrected, kSinceDriverStart, &number) == 0) gpu.uncorrected_errors = number;
    if (nvml.throttle(device, &number) == 0) gpu.throttle_reasons = number;
    nvml.temperature(device, kGpuSensor, &gpu.temperature);
    facts.gpus.push_back(std::move(gpu));
  }
}

}  // namespace

NvmlFacts ProbeNvml() {
  NvmlFacts facts;
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    facts.absent = "this host has no NVIDIA driver (libnvidia-ml.so.1 is not there)";
    return facts;
  }
  Nvml nvml;
  if (!LoadAll(library, nvml)) {
    facts.absent = "the NVIDIA driver is older than 418";
  } else if (nvml.init() != 0) {
    facts.absent = "the NVIDIA driver does not answer";
  } else {
    Read(nvml, facts);
    nvml.shutdown();
  }
  dlclose(library);
  return facts;
}

}  // namespace muster
