#include "worker/rank/collective/backend_group.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/exception_status.h"
#include "common/status.h"

namespace muster {

absl::Status CollectiveError(absl::string_view operation, absl::string_view reason) {
  return absl::UnavailableError(
      absl::StrCat("collective failed: ", operation, ": ", WithoutBacktrace(reason)));
}

// An operation without elements, or one that could not be started, has no transfer.
class BackendGroup::Operation final : public Pending {
 public:
  Operation(BackendGroup& group, absl::string_view name, std::unique_ptr<Transfer> transfer)
      : group_(group), name_(name), transfer_(std::move(transfer)) {}
  absl::Status Wait() override {
    return group_.Try(name_, [&] { return transfer_ == nullptr ? absl::OkStatus() : transfer_->Await(); });
  }

 private:
  BackendGroup& group_;
  const std::string name_;
  const std::unique_ptr<Transfer> transfer_;
};

absl::Status BackendGroup::Try(absl::string_view name, absl::FunctionRef<absl::Status()> operation) {
  if (!failure_.ok()) return failure_;
  try {
    at::NoGradGuard no_gradient;
    const absl::Status status = operation();
    if (!status.ok()) failure_ = CollectiveError(name, status.message());
  } catch (const std::exception& error) {
    failure_ = CollectiveError(name, error.what());
  }
  if (!failure_.ok()) Abandon();
  return failure_;
}

std::unique_ptr<Pending> BackendGroup::Start(absl::string_view name, absl::FunctionRef<Started()> begin) {
  std::unique_ptr<Transfer> transfer;
  const absl::Status started = Try(name, [&] {
    ASSIGN_OR_RETURN(transfer, begin());
    return absl::OkStatus();
  });
  started.IgnoreError();  // Wait returns it, as does every later operation
  return std::make_unique<Operation>(*this, name, std::move(transfer));
}

std::unique_ptr<Pending> BackendGroup::StartAllGather(std::vector<at::Tensor> pieces) {
  return Start("all-gather", [&]() -> Started {
    const bool any = std::any_of(pieces.begin(), pieces.end(), [](const at::Tensor& piece) { return piece.numel() > 0; });
    if (!any) return nullptr;
    return Gather(std::move(pieces));
  });
}

std::unique_ptr<Pending> BackendGroup::StartAllReduceSum(at::Tensor tensor) {
  return Start("all-reduce", [&]() -> Started {
    if (tensor.numel() == 0) return nullptr;
    return AllReduce(std::move(tensor));
  });
}

absl::StatusOr<at::Tensor> BackendGroup::ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) {
  std::vector<int64_t> shape = full.sizes().vec();
  shape[0] = counts[rank()];
  at::Tensor sums = at::empty(shape, full.options());
  RETURN_IF_ERROR(Start("reduce-scatter", [&]() -> Started {
                    if (full.numel() == 0) return nullptr;
                    return ReduceScatter(full.contiguous(), counts, sums);
                  })->Wait());
  return sums;
}

// Sends each rank's size and first bytes in one message. Longer data follows in a second one.
absl::StatusOr<std::vector<std::string>> BackendGroup::AllGatherBytes(const std::string& own) {
  constexpr auto kShort = static_cast<int64_t>(kShortBytes);
  constexpr int64_t kHead = sizeof(int64_t), kMessage = kHead + kShort;
  std::vector<std::string> all(world_size());
  RETURN_IF_ERROR(Try("all-gather of bytes", [&] {
    const auto exchange = [&](const std::vector<int64_t>& sizes, const char* from) -> absl::StatusOr<at::Tensor> {
      int64_t total = 0;
      for (const int64_t size : sizes) total += size;
      at::Tensor host = at::zeros({total}, at::kByte);
      std::vector<int64_t> first(sizes.size());
      for (size_t r = 1; r < sizes.size(); ++r) first[r] = first[r - 1] + sizes[r - 1];
      std::memcpy(host.mutable_data_ptr<uint8_t>() + first[rank()], from, sizes[rank()]);
      const at::Tensor there = host.to(device_);
      std::vector<at::Tensor> pieces;
      for (size_t r = 0; r < sizes.size(); ++r) pieces.push_back(there.narrow(0, first[r], sizes[r]));
      ASSIGN_OR_RETURN(const auto transfer, Gather(std::move(pieces)));
      RETURN_IF_ERROR(transfer->Await());
      return there.to(at::kCPU);
    };
    char message[kMessage] = {};
    const auto length = static_cast<int64_t>(own.size());
    std::memcpy(message, &length, kHead);
    std::memcpy(message + kHead, own.data(), std::min(own.size(), kShortBytes));
    ASSIGN_OR_RETURN(const at::Tensor heads, exchange(std::vector<int64_t>(world_size(), kMessage), message));
    std::vector<int64_t> lengths(world_size()), rest(world_size());
    for (int64_t r = 0; r < world_size(); ++r) {
      const uint8_t* head = heads.const_data_ptr<uint8_t>() + r * kMessage;
      std::memcpy(&lengths[r], head, kHead);
      rest[r] = std::max<int64_t>(0, lengths[r] - kShort);
      all[r].assign(reinterpret_cast<const char*>(head) + kHead, std::min(lengths[r], kShort));
    }
    if (std::all_of(rest.begin(), rest.end(), [](int64_t bytes) { return bytes == 0; })) return absl::OkStatus();
    ASSIGN_OR_RETURN(const at::Tensor tails, exchange(rest, own.data() + (rest[rank()] > 0 ? kShort : 0)));
    const char* tail = reinterpret_cast<const char*>(tails.const_data_ptr<uint8_t>());
    for (int64_t r = 0; r < world_size(); tail += rest[r++]) all[r].append(tail, rest[r]);
    return absl::OkStatus();
  }));
  return all;
}

}  // namespace muster
