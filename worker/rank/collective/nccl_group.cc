#include "worker/rank/collective/nccl_group.h"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
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
#include "worker/rank/collective/backend_group.h"

namespace muster {
namespace {

constexpr char kIdKey[] = "nccl-unique-id";
// NCCL's own threads end within milliseconds of an abort. If they do not, the rank continues without them.
constexpr absl::Duration kAbortPatience = absl::Seconds(5);
// How long a group that ends without failure may take to finish its messages to the peers.
constexpr absl::Duration kFinalizePatience = absl::Seconds(10);

// Fixes algorithm and protocol: NCCL's own choice depends on measured speeds, and so would the order of a sum.
void FixOrderOfSums() {
  static std::mutex lock;
  const std::lock_guard guard(lock);
  setenv("NCCL_ALGO", "Ring", /*overwrite=*/0);
  setenv("NCCL_PROTO", "Simple", /*overwrite=*/0);
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

bool IsError(ncclResult_t result) { return result != ncclSuccess && result != ncclInProgress; }

// One operation per root rank; NCCL runs all of them in one launch.
ncclResult_t InOneLaunch(size_t ranks, absl::FunctionRef<ncclResult_t(size_t)> enqueue) {
  ncclResult_t first = ncclGroupStart();
  for (size_t root = 0; root < ranks && !IsError(first); ++root) first = enqueue(root);
  const ncclResult_t end = ncclGroupEnd();
  return IsError(first) ? first : end;
}

// NCCL's description of a failure, in one line. `comm` may be null.
absl::Status NcclError(ncclResult_t result, ncclComm_t comm) {
  std::string text = ncclGetErrorString(result);
  if (const char* last = ncclGetLastError(comm); last != nullptr && *last != '\0') absl::StrAppend(&text, ": ", last);
  return absl::UnavailableError(absl::StrReplaceAll(text, {{"\n", "; "}}));
}

absl::Status CudaError(cudaError_t error) {
  cudaGetLastError();  // clears an error that does not last, so that the next call does not report it
  return absl::UnavailableError(absl::StrCat("CUDA: ", cudaGetErrorString(error)));
}

// Yields at first and sleeps later: the end of a short operation is noticed at once, and a long one keeps no core busy.
void Pause(int64_t round) {
  if (round < 2000) {
    std::this_thread::yield();
  } else {
    absl::SleepFor(absl::Microseconds(round < 10000 ? 20 : 500));
  }
}

class NcclGroup final : public BackendGroup {
 public:
  NcclGroup(const JoinOptions& options, at::Device device)
      : BackendGroup(device), rank_(options.rank), world_size_(options.world_size), timeout_(options.timeout) {}
  ~NcclGroup() override {
    try {
      if (comm_ != nullptr) Leave();
    } catch (const std::exception&) {  // CUDA itself is broken
      Abandon();
    }
    for (const cudaEvent_t event : free_events_) cudaEventDestroy(event);
  }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  int64_t rank() const override { return rank_; }
  int64_t world_size() const override { return world_size_; }

  // Connects to the other ranks. Call it once, before anything else.
  absl::Status Meet(c10d::Store& store);

 private:
  class StreamTransfer;

  Started Gather(std::vector<at::Tensor> pieces) override {
    const ncclDataType_t type = TypeOf(pieces[0]);
    return Begin(pieces, [&] {
      return InOneLaunch(pieces.size(), [&](size_t root) {
        if (pieces[root].numel() == 0) return ncclSuccess;
        void* piece = pieces[root].mutable_data_ptr();
        return ncclBroadcast(piece, piece, pieces[root].numel(), type, static_cast<int>(root), comm_, stream_);
      });
    });
  }
  Started ReduceScatter(const at::Tensor& full, std::span<const int64_t> counts, at::Tensor own) override {
    const ncclDataType_t type = TypeOf(full);
    return Begin({full, own}, [&] {
      if (std::all_of(counts.begin(), counts.end(), [&](int64_t count) { return count == counts[0]; })) {
        return ncclReduceScatter(full.const_data_ptr(), own.mutable_data_ptr(), own.numel(), type, ncclSum, comm_, stream_);
      }
      int64_t first = 0;
      return InOneLaunch(counts.size(), [&](size_t root) {
        const at::Tensor rows = full.narrow(0, std::exchange(first, first + counts[root]), counts[root]);
        if (rows.numel() == 0) return ncclSuccess;
        void* sum = own.numel() > 0 ? own.mutable_data_ptr() : nullptr;  // a rank receives sums of its own rows only
        return ncclReduce(rows.const_data_ptr(), sum, rows.numel(), type, ncclSum, static_cast<int>(root), comm_, stream_);
      });
    });
  }
  Started AllReduce(at::Tensor tensor) override {
    const ncclDataType_t type = TypeOf(tensor);
    return Begin({tensor}, [&] {
      return ncclAllReduce(tensor.const_data_ptr(), tensor.mutable_data_ptr(), tensor.numel(), type, ncclSum, comm_,
                           stream_);
    });
  }
  void Abandon() override;

  void Leave();
  Started Begin(std::vector<at::Tensor> tensors, absl::FunctionRef<ncclResult_t()> enqueue);
  absl::StatusOr<cudaEvent_t> TakeEvent();
  cudaStream_t CurrentStream() const { return c10::cuda::getCurrentCUDAStream(device().index()).stream(); }
  absl::StatusOr<ncclUniqueId> ShareId(c10d::Store& store);
  ncclResult_t State() const;
  absl::Status Await(absl::Duration deadline, absl::FunctionRef<absl::StatusOr<bool>(ncclResult_t)> ended);
  absl::Status AwaitEnqueued(ncclResult_t result, absl::Duration deadline);
  absl::Status AwaitEvent(cudaEvent_t event, absl::Duration deadline);

  const int64_t rank_, world_size_;
  const absl::Duration timeout_;
  ncclComm_t comm_ = nullptr;  // null: not connected yet, or aborted
  // Operations run in a separate stream, so the work of the caller's stream continues meanwhile.
  cudaStream_t stream_{};
  std::vector<cudaEvent_t> free_events_;
  // Tensors of abandoned transfers: for a late peer NCCL still reads and writes them, until the abort.
  std::vector<at::Tensor> unfinished_;
};

// An operation in the group's stream. After Await the calling thread's current stream may read the tensors.
class NcclGroup::StreamTransfer final : public Transfer {
 public:
  StreamTransfer(NcclGroup& group, std::vector<at::Tensor> tensors, cudaEvent_t done)
      : group_(group), tensors_(std::move(tensors)), done_(done) {}
  ~StreamTransfer() override {
    GiveUp();  // does nothing after a successful Await, which clears tensors_
    group_.free_events_.push_back(done_);
  }
  StreamTransfer(const StreamTransfer&) = delete;
  StreamTransfer& operator=(const StreamTransfer&) = delete;

  absl::Status Await() override {
    const c10::cuda::CUDAGuard on_device(group_.device());
    const absl::Status status = group_.AwaitEvent(done_, RealClock().Monotonic() + group_.timeout_);
    if (!status.ok()) {
      GiveUp();
      return status;
    }
    tensors_.clear();
    // The operation has ended, so this never delays the stream: it records the dependency for whatever tracks the order of
    // streams.
    const cudaError_t error = cudaStreamWaitEvent(group_.CurrentStream(), done_, 0);
    return error == cudaSuccess ? absl::OkStatus() : CudaError(error);
  }

 private:
  void GiveUp() {
    std::move(tensors_.begin(), tensors_.end(), std::back_inserter(group_.unfinished_));
    tensors_.clear();
  }

  NcclGroup& group_;
  std::vector<at::Tensor> tensors_;
  const cudaEvent_t done_;
};

// The state of the whole communicator: ncclSuccess, ncclInProgress or an error, also of its peers.
ncclResult_t NcclGroup::State() const {
  ncclResult_t state = ncclInProgress;
  const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
  return asked == ncclSuccess ? state : asked;
}

// Waits until `ended` returns true for the communicator's state, NCCL reports an error, or the deadline passes.
absl::Status NcclGroup::Await(absl::Duration deadline, absl::FunctionRef<absl::StatusOr<bool>(ncclResult_t)> ended) {
  for (int64_t round = 0;; ++round) {
    const ncclResult_t state = State();
    if (IsError(state)) return NcclError(state, comm_);
    ASSIGN_OR_RETURN(const bool done, ended(state));
    if (done) return absl::OkStatus();
    if (RealClock().Monotonic() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("a rank did not arrive within ", absl::FormatDuration(timeout_)));
    }
    Pause(round);
  }
}

// A call to a non-blocking communicator may finish later, in NCCL's thread. Its work is in the stream only then.
absl::Status NcclGroup::AwaitEnqueued(ncclResult_t result, absl::Duration deadline) {
  if (result == ncclSuccess) return absl::OkStatus();
  if (IsError(result)) return NcclError(result, comm_);
  return Await(deadline, [](ncclResult_t state) { return state != ncclInProgress; });
}

absl::Status NcclGroup::AwaitEvent(cudaEvent_t event, absl::Duration deadline) {
  bool done = false;
  return Await(deadline, [&](ncclResult_t) -> absl::StatusOr<bool> {
    // Await checks the communicator once more after the event, because an error also completes the event.
    if (done) return true;
    const cudaError_t error = cudaEventQuery(event);
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
  stream_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device().index()).stream();
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

absl::StatusOr<cudaEvent_t> NcclGroup::TakeEvent() {
  cudaEvent_t event = nullptr;
  if (free_events_.empty()) {
    const cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    if (error != cudaSuccess) return CudaError(error);
  } else {
    event = free_events_.back();
    free_events_.pop_back();
  }
  return event;
}

// The operation runs after all work that is now in the caller's stream: that work writes the tensors.
BackendGroup::Started NcclGroup::Begin(std::vector<at::Tensor> tensors, absl::FunctionRef<ncclResult_t()> enqueue) {
  const c10::cuda::CUDAGuard on_device(device());
  ASSIGN_OR_RETURN(const cudaEvent_t event, TakeEvent());
  auto transfer = std::make_unique<StreamTransfer>(*this, std::move(tensors), event);
  if (const cudaError_t error = cudaEventRecord(event, CurrentStream()); error != cudaSuccess) return CudaError(error);
  if (const cudaError_t error = cudaStreamWaitEvent(stream_, event, 0); error != cudaSuccess) return CudaError(error);
  RETURN_IF_ERROR(AwaitEnqueued(enqueue(), RealClock().Monotonic() + timeout_));
  if (const cudaError_t error = cudaEventRecord(event, stream_); error != cudaSuccess) return CudaError(error);
  return transfer;
}

// Ends the kernels that wait in the stream, and the peers' operations. The abort joins NCCL's threads, so it runs in a separate
// thread: if one of them hangs, the rank still continues.
void NcclGroup::Abandon() {
  if (comm_ == nullptr) return;
  const auto ended = std::make_shared<absl::Notification>();
  std::thread([comm = comm_, device = device(), tensors = std::exchange(unfinished_, {}), ended]() mutable {
    cudaSetDevice(device.index());
    ncclCommAbort(comm);
    tensors.clear();
    ended->Notify();
  }).detach();
  comm_ = nullptr;
  ended->WaitForNotificationWithTimeout(kAbortPatience);
}

// Finalize sends what slower peers still need from this rank.
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
  if (options.fixed_order_of_sums) FixOrderOfSums();
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
