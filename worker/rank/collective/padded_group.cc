#include "worker/rank/collective/padded_group.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

// Gradients travel in buckets of this size: fewer, larger messages, without a copy of all gradients at once.
constexpr int64_t kBucketBytes = int64_t{32} << 20;

int64_t Largest(std::span<const int64_t> counts) { return *std::max_element(counts.begin(), counts.end()); }

bool AllEqual(std::span<const int64_t> counts) {
  return std::all_of(counts.begin(), counts.end(), [&](int64_t count) { return count == counts[0]; });
}

// Row counts differ between ranks, messages do not: each is padded to the largest count.
at::Tensor PadRows(const at::Tensor& rows, int64_t count) {
  if (rows.size(0) == count) return rows.contiguous();
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] = count;
  at::Tensor padded = at::zeros(shape, rows.options());
  padded.narrow(0, 0, rows.size(0)).copy_(rows);
  return padded;
}

at::Tensor EmptyRows(const at::Tensor& like, int64_t count) {
  std::vector<int64_t> shape = like.sizes().vec();
  shape[0] = count;
  return at::empty(shape, like.options());
}

}  // namespace

absl::Status CollectiveError(absl::string_view operation, absl::string_view reason) {
  return absl::UnavailableError(
      absl::StrCat("collective failed: ", operation, ": ", reason.substr(0, reason.find('\n'))));
}

absl::Status PaddedGroup::Try(absl::string_view name, absl::FunctionRef<absl::Status()> operation) {
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

absl::StatusOr<at::Tensor> PaddedGroup::AllGatherRows(const at::Tensor& own, std::span<const int64_t> counts) {
  const int64_t most = Largest(counts);
  at::Tensor result = own;
  RETURN_IF_ERROR(Try("all-gather", [&] {
    if (most == 0) return absl::OkStatus();
    const at::Tensor input = PadRows(own, most);
    at::Tensor output = EmptyRows(input, most * world_size());
    RETURN_IF_ERROR(Gather(input, output));
    if (AllEqual(counts)) {
      result = output;
      return absl::OkStatus();
    }
    std::vector<at::Tensor> parts;
    for (int64_t r = 0; r < world_size(); ++r) parts.push_back(output.narrow(0, r * most, counts[r]));
    result = at::cat(parts);
    return absl::OkStatus();
  }));
  return result;
}

absl::StatusOr<at::Tensor> PaddedGroup::ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) {
  const int64_t most = Largest(counts);
  at::Tensor result = full;
  RETURN_IF_ERROR(Try("reduce-scatter", [&] {
    if (most == 0) return absl::OkStatus();
    at::Tensor input = full.contiguous();
    if (!AllEqual(counts)) {
      std::vector<at::Tensor> parts;
      int64_t first = 0;
      for (const int64_t count : counts) {
        parts.push_back(PadRows(full.narrow(0, first, count), most));
        first += count;
      }
      input = at::cat(parts);
    }
    at::Tensor output = EmptyRows(full, most);
    RETURN_IF_ERROR(ReduceScatter(input, output));
    result = output.narrow(0, 0, counts[rank()]);
    return absl::OkStatus();
  }));
  return result;
}

absl::Status PaddedGroup::AllReduceSum(std::span<at::Tensor> tensors) {
  return Try("all-reduce", [&] {
    for (size_t first = 0; first < tensors.size();) {
      size_t last = first;
      int64_t elements = 0;
      while (last < tensors.size() &&
             (last == first || (elements + tensors[last].numel()) * tensors[last].element_size() <= kBucketBytes)) {
        elements += tensors[last++].numel();
      }
      if (elements > 0) RETURN_IF_ERROR(ReduceBucket(tensors.subspan(first, last - first), elements));
      first = last;
    }
    return absl::OkStatus();
  });
}

absl::Status PaddedGroup::ReduceBucket(std::span<at::Tensor> tensors, int64_t elements) {
  if (tensors.size() == 1 && tensors[0].is_contiguous()) return AllReduce(tensors[0]);
  at::Tensor flat = at::empty({elements}, tensors[0].options());
  int64_t first = 0;
  for (const at::Tensor& tensor : tensors) {
    flat.narrow(0, first, tensor.numel()).copy_(tensor.reshape({-1}));
    first += tensor.numel();
  }
  RETURN_IF_ERROR(AllReduce(flat));
  first = 0;
  for (at::Tensor& tensor : tensors) {
    tensor.copy_(flat.narrow(0, first, tensor.numel()).view(tensor.sizes()));
    first += tensor.numel();
  }
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> PaddedGroup::GatherFromHost(const at::Tensor& host) {
  const at::Tensor input = host.to(device_);
  at::Tensor output = EmptyRows(input, input.size(0) * world_size());
  RETURN_IF_ERROR(Gather(input, output));
  return output.to(at::kCPU);
}

absl::StatusOr<std::vector<std::string>> PaddedGroup::AllGatherBytes(const std::string& own) {
  std::vector<std::string> all;
  RETURN_IF_ERROR(Try("all-gather of bytes", [&] {
    at::Tensor size = at::empty({1}, at::kLong);
    size.mutable_data_ptr<int64_t>()[0] = static_cast<int64_t>(own.size());
    ASSIGN_OR_RETURN(const at::Tensor sizes, GatherFromHost(size));
    const int64_t* counts = sizes.const_data_ptr<int64_t>();
    const int64_t most = *std::max_element(counts, counts + world_size());
    all.resize(world_size());
    if (most == 0) return absl::OkStatus();
    at::Tensor bytes = at::zeros({most}, at::kByte);
    std::memcpy(bytes.mutable_data_ptr<uint8_t>(), own.data(), own.size());
    ASSIGN_OR_RETURN(const at::Tensor gathered, GatherFromHost(bytes));
    for (int64_t r = 0; r < world_size(); ++r) {
      all[r].assign(reinterpret_cast<const char*>(gathered.const_data_ptr<uint8_t>()) + r * most, counts[r]);
    }
    return absl::OkStatus();
  }));
  return all;
}

}  // namespace muster
