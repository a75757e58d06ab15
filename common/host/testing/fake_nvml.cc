// A libnvidia-ml.so for tests: two GPUs, of which the second supports little. The test sets their readings.
#include <unistd.h>

#include <atomic>
#include <cstdio>

namespace {

struct Utilization {
  unsigned gpu, memory;
};
struct Memory {
  unsigned long long total, free, used;
};
struct EventData {
  void* device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};

constexpr int kOk = 0, kNotSupported = 3, kInvalid = 2, kTimeout = 10;
char devices[2];
std::atomic<unsigned long long> ecc = 7, throttle = 0;
std::atomic<int> xids = 0, open_count = 0;

bool IsFirst(void* device) { return device == &devices[0]; }

}  // namespace

extern "C" {

// Called by the test.
void fake_nvml_set(unsigned long long ecc_errors, unsigned long long throttle_reasons) {
  ecc = ecc_errors;
  throttle = throttle_reasons;
}
void fake_nvml_raise_xid() { ++xids; }
int fake_nvml_open() { return open_count; }

int nvmlInit_v2() {
  ++open_count;
  return kOk;
}
int nvmlShutdown() {
  --open_count;
  return kOk;
}
int nvmlSystemGetDriverVersion(char* version, unsigned size) {
  std::snprintf(version, size, "570.00");
  return kOk;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return kOk;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index > 1) return kInvalid;
  *device = &devices[index];
  return kOk;
}
int nvmlDeviceGetName(void* device, char* name, unsigned size) {
  std::snprintf(name, size, "Fake GPU %d", IsFirst(device) ? 0 : 1);
  return kOk;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned size) {
  std::snprintf(uuid, size, "GPU-fake-%d", IsFirst(device) ? 0 : 1);
  return kOk;
}
int nvmlDeviceGetUtilizationRates(void* device, Utilization* rates) {
  *rates = {IsFirst(device) ? 75u : 0u, 10};
  return kOk;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  if (!IsFirst(device)) return kNotSupported;
  *memory = {1000, 600, 400};
  return kOk;
}
int nvmlDeviceGetTemperature(void* device, unsigned sensor, unsigned* temperature) {
  if (!IsFirst(device) || sensor != 0) return kNotSupported;
  *temperature = 61;
  return kOk;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  if (!IsFirst(device)) return kNotSupported;
  *reasons = throttle;
  return kOk;
}
int nvmlDeviceGetTotalEccErrors(void* device, unsigned type, unsigned counter, unsigned long long* count) {
  if (!IsFirst(device) || type != 1 || counter != 0) return kNotSupported;
  *count = ecc;
  return kOk;
}
int nvmlEventSetCreate(void** set) {
  *set = devices;
  return kOk;
}
int nvmlEventSetFree(void*) { return kOk; }
int nvmlDeviceRegisterEvents(void*, unsigned long long, void*) { return kOk; }
int nvmlEventSetWait_v2(void*, EventData* event, unsigned milliseconds) {
  if (xids > 0) {
    --xids;
    *event = {&devices[0], 0x8, 79, 0, 0};
    return kOk;
  }
  usleep(milliseconds * 1000);
  return kTimeout;
}

}  // extern "C"
