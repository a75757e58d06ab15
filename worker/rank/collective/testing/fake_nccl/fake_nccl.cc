#include <c10/util/BFloat16.h>
#include <nccl.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace {

using muster::fake_nccl::OrderOfThisThread;
using muster::fake_nccl::TheWorld;

// One collective: the buffers that each rank passed. The last rank to arrive computes the result and sets `done`.
struct Operation {
  std::vector<const void*> sends;
  std::vector<void*> receives;
  int arrived = 0;
  std::atomic<bool> done{false};
};

struct Meeting {
  std::mutex lock;
  std::vector<ncclComm*> comms;  // by rank; null: not joined, or left
  int joined = 0;
  std::vector<std::shared_ptr<Operation>> operations;
};

std::mutex meetings_lock;
std::vector<std::shared_ptr<Meeting>> meetings;  // an ncclUniqueId holds an index into this
thread_local std::shared_ptr<Operation> last_operation;
thread_local int calls = 0;
thread_local size_t received = 0;
thread_local ncclComm* last_comm = nullptr;

size_t SizeOf(ncclDataType_t type) {
  return type == ncclUint8 ? 1 : type == ncclBfloat16 ? 2 : type == ncclFloat32 ? 4 : 8;
}

template <typename T>
void Sum(const std::vector<const void*>& sends, size_t first, size_t count, void* out) {
  for (size_t i = 0; i < count; ++i) {
    T sum{};
    for (const void* send : sends) sum = static_cast<T>(sum + static_cast<const T*>(send)[first + i]);
    static_cast<T*>(out)[i] = sum;
  }
}

void SumOf(ncclDataType_t type, const std::vector<const void*>& sends, size_t first, size_t count, void* out) {
  switch (type) {
    case ncclUint8:
      return Sum<uint8_t>(sends, first, count, out);
    case ncclInt64:
      return Sum<int64_t>(sends, first, count, out);
    case ncclFloat32:
      return Sum<float>(sends, first, count, out);
    case ncclFloat64:
      return Sum<double>(sends, first, count, out);
    case ncclBfloat16:
      return Sum<c10::BFloat16>(sends, first, count, out);
  }
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Meeting> meeting;
  int rank = 0;
  size_t next = 0;                           // operation of this rank
  int polls = 0;                             // answers of "in progress" that are still to come
  std::atomic<ncclResult_t> failure{ncclSuccess};
};
struct FakeEvent {
  std::shared_ptr<Operation> operation;  // null: recorded in a stream without operations
  muster::testing_streams::StreamOrder::Event order;
};

namespace {

// A call to a non-blocking communicator: it ends after a few polls.
ncclResult_t Later(ncclComm_t comm) {
  comm->polls = 3;
  return ncclInProgress;
}

ncclResult_t Enqueue(ncclComm_t comm, const void* send, void* receive, std::function<void(const Operation&)> compute) {
  ++calls;
  last_comm = comm;
  const std::lock_guard guard(comm->meeting->lock);
  Meeting& meeting = *comm->meeting;
  if (comm->next == meeting.operations.size()) {
    meeting.operations.push_back(std::make_shared<Operation>());
    meeting.operations.back()->sends.resize(meeting.comms.size());
    meeting.operations.back()->receives.resize(meeting.comms.size());
  }
  last_operation = meeting.operations[comm->next++];
  last_operation->sends[comm->rank] = send;
  last_operation->receives[comm->rank] = receive;
  if (++last_operation->arrived == static_cast<int>(meeting.comms.size())) {
    compute(*last_operation);
    last_operation->done = true;
  }
  return Later(comm);
}

void Leave(ncclComm_t comm, ncclResult_t of_peers) {
  const std::lock_guard guard(comm->meeting->lock);
  comm->meeting->comms[comm->rank] = nullptr;
  // This rank's buffers are freed now, so its operations that still wait for other ranks must never run.
  for (const auto& operation : comm->meeting->operations) {
    if (!operation->done) operation->arrived = INT_MIN;
  }
  for (ncclComm* peer : comm->meeting->comms) {
    if (peer != nullptr && of_peers != ncclSuccess) peer->failure = of_peers;
  }
}

}  // namespace

namespace muster::fake_nccl {
World& TheWorld() {
  static World world;
  return world;
}
int CallsOfThisThread() { return calls; }
size_t BytesReceivedByThisThread() { return received; }
testing_streams::StreamOrder& OrderOfThisThread() {
  thread_local testing_streams::StreamOrder order;
  return order;
}
}  // namespace muster::fake_nccl

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard guard(meetings_lock);
  const size_t index = meetings.size();
  meetings.push_back(std::make_shared<Meeting>());
  std::memset(id->internal, 0, sizeof(id->internal));
  std::memcpy(id->internal, &index, sizeof(index));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config->blocking != 0) return ncclSystemError;
  size_t index = 0;
  std::memcpy(&index, id.internal, sizeof(index));
  const std::lock_guard guard(meetings_lock);
  *comm = new ncclComm{.meeting = meetings.at(index), .rank = rank};
  const std::lock_guard meeting_guard((*comm)->meeting->lock);
  (*comm)->meeting->comms.resize(ranks);
  (*comm)->meeting->comms[rank] = *comm;
  ++(*comm)->meeting->joined;
  return Later(*comm);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  const std::lock_guard guard(comm->meeting->lock);
  const bool met = comm->meeting->joined == static_cast<int>(comm->meeting->comms.size());
  *state = comm->failure;
  if (*state == ncclSuccess && (!met || comm->polls-- > 0)) *state = ncclInProgress;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() { return ncclSuccess; }
ncclResult_t ncclGroupEnd() { return last_comm == nullptr ? ncclSuccess : Later(last_comm); }

ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  const size_t bytes = count * SizeOf(type);
  if (comm->rank == root) {
    OrderOfThisThread().Read(stream, send, bytes, "the piece that a broadcast sends");
  } else {
    OrderOfThisThread().Write(stream, receive, bytes, "a piece that a broadcast brings");
    received += bytes;
  }
  return Enqueue(comm, send, receive, [=](const Operation& operation) {
    for (void* out : operation.receives) {
      if (out != operation.sends[root]) std::memcpy(out, operation.sends[root], bytes);
    }
  });
}

ncclResult_t ncclReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t, int root,
                        ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * SizeOf(type);
  OrderOfThisThread().Read(stream, send, bytes, "the rows that a reduction sends");
  if (comm->rank == root) {
    OrderOfThisThread().Write(stream, receive, bytes, "the rows that a reduction brings");
    received += bytes * (comm->meeting->comms.size() - 1);
  }
  return Enqueue(comm, send, receive, [=](const Operation& operation) {
    SumOf(type, operation.sends, 0, count, operation.receives[root]);
  });
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t,
                               ncclComm_t comm, cudaStream_t stream) {
  OrderOfThisThread().Read(stream, send, comm->meeting->comms.size() * count * SizeOf(type), "the rows of a reduce-scatter");
  OrderOfThisThread().Write(stream, receive, count * SizeOf(type), "this rank's rows of a reduce-scatter");
  received += (comm->meeting->comms.size() - 1) * count * SizeOf(type);
  return Enqueue(comm, send, receive, [=](const Operation& operation) {
    for (size_t r = 0; r < operation.receives.size(); ++r) {
      SumOf(type, operation.sends, r * count, count, operation.receives[r]);
    }
  });
}

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t,
                           ncclComm_t comm, cudaStream_t stream) {
  OrderOfThisThread().Write(stream, receive, count * SizeOf(type), "the values of an all-reduce");
  return Enqueue(comm, send, receive, [=](const Operation& operation) {
    std::vector<char> sum(count * SizeOf(type));  // operations are in place
    SumOf(type, operation.sends, 0, count, sum.data());
    for (void* out : operation.receives) std::memcpy(out, sum.data(), sum.size());
  });
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return Later(comm); }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  ++TheWorld().destroyed;
  Leave(comm, ncclSuccess);
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (TheWorld().before_abort) TheWorld().before_abort();
  ++TheWorld().aborted;
  Leave(comm, TheWorld().notice_aborts ? ncclRemoteError : ncclSuccess);
  delete comm;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited or there was a network error" : "some error of NCCL";
}
const char* ncclGetLastError(ncclComm_t) { return "socket closed\nby peer"; }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new FakeEvent;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->operation = stream == 0 ? nullptr : last_operation;
  event->order = OrderOfThisThread().Record(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  OrderOfThisThread().Wait(stream, event->order);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (TheWorld().broken_gpu) return cudaErrorLaunchFailure;
  if (event->operation != nullptr && !event->operation->done) return cudaErrorNotReady;
  OrderOfThisThread().HostSaw(event->order);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "unspecified launch failure"; }
