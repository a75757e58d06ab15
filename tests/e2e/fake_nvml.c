// NVML's C interface for one imaginary GPU. The file named by FAKE_NVML_STATE says what it reports:
//   xid N ecc N throttle MASK
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kSuccess = 0, kInvalidArgument = 2, kTimeout = 10 };
enum { kXid = 8 };

typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
  void* device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
} Event;
struct State { unsigned long long xid, ecc, throttle; };

static char device_mark, set_mark;
static unsigned long long xids_told;

static struct State Read(void) {
  struct State state = {0, 0, 0};
  const char* const path = getenv("FAKE_NVML_STATE");
  FILE* const file = path == NULL ? NULL : fopen(path, "r");
  if (file == NULL) return state;
  if (fscanf(file, "xid %llu ecc %llu throttle %llu", &state.xid, &state.ecc, &state.throttle) != 3) memset(&state, 0, sizeof(state));
  fclose(file);
  return state;
}

static int Copy(char* to, unsigned length, const char* text) {
  snprintf(to, length, "%s", text);
  return kSuccess;
}

int nvmlInit_v2(void) { return kSuccess; }
int nvmlShutdown(void) { return kSuccess; }
const char* nvmlErrorString(int code) { return code == kSuccess ? "Success" : "Error"; }
int nvmlSystemGetDriverVersion(char* version, unsigned length) { return Copy(version, length, "580.00"); }
int nvmlDeviceGetCount_v2(unsigned* count) { return *count = 1, kSuccess; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = &device_mark;
  return index == 0 ? kSuccess : kInvalidArgument;
}
int nvmlDeviceGetIndex(void* device, unsigned* index) { return (void)device, *index = 0, kSuccess; }
int nvmlDeviceGetName(void* device, char* name, unsigned length) { return (void)device, Copy(name, length, "Fake GPU"); }
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  return (void)device, Copy(uuid, length, "GPU-00000000-0000-0000-0000-000000000001");
}
int nvmlDeviceGetUtilizationRates(void* device, Utilization* rates) {
  (void)device;
  *rates = (Utilization){.gpu = 73, .memory = 40};
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  (void)device;
  *memory = (Memory){.total = 80ULL << 30, .free = 48ULL << 30, .used = 32ULL << 30};
  return kSuccess;
}
int nvmlDeviceGetTemperature(void* device, int sensor, unsigned* celsius) {
  return (void)device, (void)sensor, *celsius = 61, kSuccess;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  return (void)device, *reasons = Read().throttle, kSuccess;
}
int nvmlDeviceGetCurrentClocksEventReasons(void* device, unsigned long long* reasons) {
  return nvmlDeviceGetCurrentClocksThrottleReasons(device, reasons);
}
int nvmlDeviceGetTotalEccErrors(void* device, int type, int counter, unsigned long long* errors) {
  (void)device, (void)counter;
  *errors = type == 1 ? Read().ecc : 0;  // 1: uncorrected
  return kSuccess;
}
int nvmlDeviceGetSupportedEventTypes(void* device, unsigned long long* types) { return (void)device, *types = kXid, kSuccess; }
int nvmlEventSetCreate(void** set) { return *set = &set_mark, kSuccess; }
int nvmlEventSetFree(void* set) { return (void)set, kSuccess; }
int nvmlDeviceRegisterEvents(void* device, unsigned long long types, void* set) { return (void)device, (void)types, (void)set, kSuccess; }
int nvmlEventSetWait_v2(void* set, Event* event, unsigned milliseconds) {
  (void)set;
  if (Read().xid > xids_told) {
    ++xids_told;
    *event = (Event){.device = &device_mark, .type = kXid, .data = 79};
    return kSuccess;
  }
  const struct timespec pause = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
  nanosleep(&pause, NULL);
  return kTimeout;
}
