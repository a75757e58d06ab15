// For tests: the names of NCCL and of CUDA's runtime that nccl_group.cc uses, over ranks that are threads of one
// process and tensors of the CPU. Values of the constants are NCCL's and CUDA's.
#pragma once

#include <atomic>
#include <climits>
#include <cstddef>
#include <functional>

#include "worker/rank/device/testing/stream_order.h"

struct ncclComm;
using ncclComm_t = ncclComm*;
struct ncclUniqueId {
  char internal[128];
};
enum ncclResult_t { ncclSuccess = 0, ncclSystemError = 2, ncclRemoteError = 6, ncclInProgress = 7 };
enum ncclDataType_t { ncclUint8 = 1, ncclInt64 = 4, ncclFloat32 = 7, ncclFloat64 = 8, ncclBfloat16 = 9 };
enum ncclRedOp_t { ncclSum = 0 };
struct ncclConfig_t {
  int blocking = INT_MIN;
};
#define NCCL_CONFIG_INITIALIZER {}

struct FakeEvent;
using cudaEvent_t = FakeEvent*;
using cudaStream_t = int;
enum cudaError_t { cudaSuccess = 0, cudaErrorNotReady = 600, cudaErrorLaunchFailure = 719 };
inline constexpr unsigned cudaEventDisableTiming = 2;

ncclResult_t ncclGetUniqueId(ncclUniqueId* id);
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();
ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream);
ncclResult_t ncclReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclCommFinalize(ncclComm_t comm);
ncclResult_t ncclCommDestroy(ncclComm_t comm);
ncclResult_t ncclCommAbort(ncclComm_t comm);
const char* ncclGetErrorString(ncclResult_t result);
const char* ncclGetLastError(ncclComm_t comm);

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaGetLastError();
cudaError_t cudaSetDevice(int device);
const char* cudaGetErrorString(cudaError_t error);

namespace muster::fake_nccl {

// Counts events and injects faults, for all communicators of the process.
struct World {
  std::atomic<int> aborted{0}, destroyed{0};
  std::atomic<bool> notice_aborts{false};  // peers see an abort as a remote error, as if their sockets had closed
  std::atomic<bool> broken_gpu{false};     // events end with an error
  std::function<void()> before_abort;      // called first by every abort; set only while no abort can come
};
World& TheWorld();
int CallsOfThisThread();  // of collectives
size_t BytesReceivedByThisThread();
// The order of the streams of this thread's GPU: each rank is a thread.
testing_streams::StreamOrder& OrderOfThisThread();

}  // namespace muster::fake_nccl
