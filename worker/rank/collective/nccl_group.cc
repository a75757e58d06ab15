#include "worker/rank/collective/nccl_group.h"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/status.h"
#include "worker/rank/collective/padded_group.h"

namespace muster {
namespace {

constexpr char kIdKey[] = "nccl-unique-id";
// NCCL's own threads end within milliseconds of an abort. If they do not, the rank continues without them.
constexpr absl::Duration kAbortPatience = absl::Seconds(5);
// Of the last words to the peers when a group without failure ends.
constexpr absl::Duration kFinalizePatience = absl::Seconds(10);

// One algorithm and protocol: NCCL's own choice depends on measured speeds, and with it the order of a sum.
void PinOrderOfSums() {
  static std::once_flag once;
  std::call_once(once, [] {
    setenv("NCCL_ALGO", "Ring", /*overwrite=*/0);
    setenv("NCCL_PROTO", "Simple", /*overwrite=*/0);
  });
}

ncclDataType_t TypeOf(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kLong:
      return ncclInt64;
    case at::kByte:
      return ncclUint8;
    default:
      TORCH_CHECK(false, "tensors of ", tensor.scalar_type(), " are not sent through NCCL");
  }
}

// What NCCL says of a failure, in one line. `comm` may be null.
absl::Status NcclError(ncclResult_t result, ncclComm_t comm) {
  std::string text = ncclGetErrorString(result);
  if (const char* last = ncclGetLastError(comm); last != nullptr && *last != '\0') absl::StrAppend(&text, ": ", last);
  return absl::UnavailableError(absl::StrReplaceAll(text, {{"\n", "; "}}));
}

absl::Status CudaError(cudaError_t error) {
  cudaGetLastError();  // an error that does not last is not the next call's
  return absl::UnavailableError(absl::StrCat("CUDA: ", cudaGetErrorString(error)));
}

// Longer the longer it takes: short operations are met at once, long ones do not keep a core busy.
void Pause(int64_t round) {
  if (round < 2000) {
    std::this_thread::yield();
  } else {
    absl::SleepFor(absl::Microseconds(round < 10000 ? 20 : 500));
  }
}

class NcclGroup final : public PaddedGroup {
 public:
  NcclGroup(const JoinOptions& options, at::Device device)
      : PaddedGroup(device), rank_(options.rank), world_size_(options.world_size), timeout_(options.timeout) {}
  ~NcclGroup() override {
    try {
      if (comm_ != nullptr) Leave();
    } catch (const std::exception&) {  // CUDA itself is broken
      Abandon();
    }
    if (done_ != nullptr) cudaEventDestroy(done_);
  }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  int64_t rank() const override { return rank_; }
  int64_t world_size() const override { return world_size_; }

  // Once, before anything else.
  absl::Status Meet(c10d::Store& store);

 private:
  absl::Status Gather(const at::Tensor& input, at::Tensor& output) override {
    return Run([&](cudaStream_t stream) {
      return ncclAllGather(input.const_data_ptr(), output.mutable_data_ptr(), input.numel(), TypeOf(input), comm_,
                           stream);
    });
  }
  absl::Status ReduceScatter(const at::Tensor& input, at::Tensor& output) override {
    return Run([&](cudaStream_t stream) {
      return ncclReduceScatter(input.const_data_ptr(), output.mutable_data_ptr(), output.numel(), TypeOf(input),
                               ncclSum, comm_, stream);
    });
  }
  absl::Status AllReduce(at::Tensor& tensor) override {
    return Run([&](cudaStream_t stream) {
      return ncclAllReduce(tensor.const_data_ptr(), tensor.mutable_data_ptr(), tensor.numel(), TypeOf(tensor), ncclSum,
                           comm_, stream);
    });
  }
  void Abandon() override;

  void Leave();
  absl::Status Run(absl::FunctionRef<ncclResult_t(cudaStream_t)> enqueue);
  absl::Status RunIn(cudaStream_t stream, absl::FunctionRef<ncclResult_t(cudaStream_t)> enqueue);
  absl::StatusOr<ncclUniqueId> ShareId(c10d::Store& store);
  ncclResult_t State() const;
  absl::Status Await(absl::Duration deadline, absl::FunctionRef<absl::StatusOr<bool>(ncclResult_t)> ended);
  absl::Status AwaitEnqueued(ncclResult_t result, absl::Duration deadline);
  absl::Status AwaitEvent(absl::Duration deadline);

  const int64_t rank_, world_size_;
  const absl::Duration timeout_;
  ncclComm_t comm_ = nullptr;  // null: not met yet, or aborted
  cudaEvent_t done_ = nullptr;
};

// What the communicator as a whole is at: ncclSuccess, ncclInProgress or an error, also of its peers.
ncclResult_t NcclGroup::State() const {
  ncclResult_t state = ncclInProgress;
  const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
  return asked == ncclSuccess ? state : asked;
}

// Until `ended`, given the communicator's state, says so; an error of NCCL or the deadline ends the wait too.
absl::Status NcclGroup::Await(absl::Duration deadline, absl::FunctionRef<absl::StatusOr<bool>(ncclResult_t)> ended) {
  for (int64_t round = 0;; ++round) {
    const ncclResult_t state = State();
    if (state != ncclSuccess && state != ncclInProgress) return NcclError(state, comm_);
    ASSIGN_OR_RETURN(const bool done, ended(state));
    if (done) return absl::OkStatus();
    if (RealClock().Monotonic() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("a rank was not there within ", absl::FormatDuration(timeout_)));
    }
    Pause(round);
  }
}

// A call to a communicator that does not block may end later, in NCCL's thread. Only then is its work in the stream.
absl::Status NcclGroup::AwaitEnqueued(ncclResult_t result, absl::Duration deadline) {
  if (result == ncclSuccess) return absl::OkStatus();
  if (result != ncclInProgress) return NcclError(result, comm_);
  return Await(deadline, [](ncclResult_t state) { return state != ncclInProgress; });
}

absl::Status NcclGroup::AwaitEvent(absl::Duration deadline) {
  bool done = false;
  return Await(deadline, [&](ncclResult_t) -> absl::StatusOr<bool> {
    // One more look at the communicator after the event: an operation that an error cut short is no success.
    if (done) return true;
    const cudaError_t error = cudaEventQuery(done_);
    done = error == cudaSuccess;
    if (!done && error != cudaErrorNotReady) return CudaError(error);
    if (!done) cudaGetLastError();  // do not leave the error "not ready" behind
    return false;
  });
}

absl::StatusOr<ncclUniqueId> NcclGroup::ShareId(c10d::Store& store) {
  ncclUniqueId id;
  if (rank_ == 0) {
    if (const ncclResult_t result = ncclGetUniqueId(&id); result != ncclSuccess) return NcclError(result, nullptr);
    store.set(kIdKey, std::vector<uint8_t>(id.internal, id.internal + sizeof(id.internal)));
    return id;
  }
  store.wait({kIdKey}, std::chrono::milliseconds(absl::ToInt64Milliseconds(timeout_)));
  const std::vector<uint8_t> bytes = store.get(kIdKey);
  if (bytes.size() != sizeof(id.internal)) {
    return absl::UnavailableError(absl::StrCat("the store holds an id of ", bytes.size(), " bytes, not of ",
                                               sizeof(id.internal), ": another group has met through it"));
  }
  std::memcpy(id.internal, bytes.data(), bytes.size());
  return id;
}

absl::Status NcclGroup::Meet(c10d::Store& store) {
  const absl::Duration deadline = RealClock().Monotonic() + timeout_;
  const c10::cuda::CUDAGuard on_device(device());
  if (const cudaError_t error = cudaEventCreateWithFlags(&done_, cudaEventDisableTiming); error != cudaSuccess) {
    return CudaError(error);
  }
  ASSIGN_OR_RETURN(const ncclUniqueId id, ShareId(store));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const ncclResult_t result =
      ncclCommInitRankConfig(&comm_, static_cast<int>(world_size_), id, static_cast<int>(rank_), &config);
  absl::Status status;
  if (comm_ != nullptr) {
    status = AwaitEnqueued(result, deadline);
  } else {
    status = NcclError(result, nullptr);
  }
  if (!status.ok()) Abandon();
  return status;
}

absl::Status NcclGroup::Run(absl::FunctionRef<ncclResult_t(cudaStream_t)> enqueue) {
  const c10::cuda::CUDAGuard on_device(device());
  // In the stream of the caller's own work: tensors need no other care, and what frees them comes after.
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device().index()).stream();
  const absl::Status status = RunIn(stream, enqueue);
  if (!status.ok()) Abandon();  // while the tensors of the operation are still there
  return status;
}

absl::Status NcclGroup::RunIn(cudaStream_t stream, absl::FunctionRef<ncclResult_t(cudaStream_t)> enqueue) {
  const absl::Duration deadline = RealClock().Monotonic() + timeout_;
  RETURN_IF_ERROR(AwaitEnqueued(enqueue(stream), deadline));
  if (const cudaError_t error = cudaEventRecord(done_, stream); error != cudaSuccess) return CudaError(error);
  return AwaitEvent(deadline);
}

// Tells the kernels that wait in the stream, and the peers, that this rank is gone. In a thread of its own, since the
// call joins NCCL's threads: one that hangs must not hold up the rank.
void NcclGroup::Abandon() {
  if (comm_ == nullptr) return;
  const auto ended = std::make_shared<absl::Notification>();
  std::thread([comm = comm_, device = device(), ended] {
    cudaSetDevice(device.index());
    ncclCommAbort(comm);
    ended->Notify();
  }).detach();
  comm_ = nullptr;
  ended->WaitForNotificationWithTimeout(kAbortPatience);
}

// What this rank has still to send to slower peers is sent first.
void NcclGroup::Leave() {
  const c10::cuda::CUDAGuard on_device(device());
  const absl::Duration deadline = RealClock().Monotonic() + kFinalizePatience;
  if (AwaitEnqueued(ncclCommFinalize(comm_), deadline).ok()) {
    ncclCommDestroy(comm_);
  } else {
    Abandon();
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Group>> MakeNcclGroup(const JoinOptions& options, at::Device device) {
  PinOrderOfSums();
  try {
    auto group = std::make_unique<NcclGroup>(options, device);
    if (const absl::Status status = group->Meet(*options.store); !status.ok()) {
      return CollectiveError("join", status.message());
    }
    return group;
  } catch (const std::exception& error) {
    return CollectiveError("join", error.what());
  }
}

}  // namespace muster
