#include "worker/rank/collective/c10d_group.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

// Gradients travel in buckets of this size: fewer, larger messages, without a copy of all gradients at once.
constexpr int64_t kBucketBytes = int64_t{32} << 20;

template <typename Operation>
absl::Status Try(const char* name, const Operation& operation) {
  try {
    at::NoGradGuard no_gradient;
    operation();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return CollectiveError(name, error);
  }
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

class C10dGroup final : public Group {
 public:
  C10dGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device)
      : backend_(std::move(backend)), device_(device) {}

  int64_t rank() const override { return backend_->getRank(); }
  int64_t world_size() const override { return backend_->getSize(); }

  absl::StatusOr<at::Tensor> AllGatherRows(const at::Tensor& own, std::span<const int64_t> counts) override {
    const int64_t most = *std::max_element(counts.begin(), counts.end());
    at::Tensor result = own;
    if (most == 0) return result;
    RETURN_IF_ERROR(Try("all-gather", [&] {
      at::Tensor input = PadRows(own, most);
      std::vector<int64_t> shape = input.sizes().vec();
      shape[0] = most * world_size();
      at::Tensor output = at::empty(shape, input.options());
      backend_->_allgather_base(output, input)->wait();
      std::vector<at::Tensor> parts;
      for (int64_t r = 0; r < world_size(); ++r) parts.push_back(output.narrow(0, r * most, counts[r]));
      result = at::cat(parts);
    }));
    return result;
  }

  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) override {
    const int64_t most = *std::max_element(counts.begin(), counts.end());
    at::Tensor result = full;
    if (most == 0) return result;
    RETURN_IF_ERROR(Try("reduce-scatter", [&] {
      std::vector<at::Tensor> parts;
      int64_t first = 0;
      for (const int64_t count : counts) {
        parts.push_back(PadRows(full.narrow(0, first, count), most));
        first += count;
      }
      at::Tensor input = at::cat(parts);
      at::Tensor output = at::empty(parts[0].sizes(), full.options());
      backend_->_reduce_scatter_base(output, input)->wait();
      result = output.narrow(0, 0, counts[rank()]);
    }));
    return result;
  }

  absl::Status AllReduceSum(std::span<at::Tensor> tensors) override {
    return Try("all-reduce", [&] {
      for (size_t first = 0; first < tensors.size();) {
        size_t last = first;
        int64_t elements = 0;
        while (last < tensors.size() &&
               (last == first || (elements + tensors[last].numel()) * tensors[last].element_size() <= kBucketBytes)) {
          elements += tensors[last++].numel();
        }
        ReduceBucket(tensors.subspan(first, last - first), elements);
        first = last;
      }
    });
  }

  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) override {
    std::vector<std::string> all;
    RETURN_IF_ERROR(Try("all-gather of bytes", [&] {
      at::Tensor size = at::empty({1}, at::kLong);
      size.data_ptr<int64_t>()[0] = static_cast<int64_t>(own.size());
      const at::Tensor sizes = Gather(size).to(at::kCPU);
      const int64_t* counts = sizes.const_data_ptr<int64_t>();
      const int64_t most = *std::max_element(counts, counts + world_size());
      all.resize(world_size());
      if (most == 0) return;
      at::Tensor bytes = at::zeros({most}, at::kByte);
      std::memcpy(bytes.data_ptr<uint8_t>(), own.data(), own.size());
      const at::Tensor gathered = Gather(bytes).to(at::kCPU);
      for (int64_t r = 0; r < world_size(); ++r) {
        all[r].assign(reinterpret_cast<const char*>(gathered.const_data_ptr<uint8_t>()) + r * most, counts[r]);
      }
    }));
    return all;
  }

 private:
  at::Tensor Gather(const at::Tensor& host) {
    at::Tensor input = host.to(device_);
    at::Tensor output = at::empty({input.size(0) * world_size()}, input.options());
    backend_->_allgather_base(output, input)->wait();
    return output;
  }

  void ReduceBucket(std::span<at::Tensor> tensors, int64_t elements) {
    if (tensors.size() == 1 && tensors[0].is_contiguous()) {  // a bucket already
      std::vector<at::Tensor> bucket = {tensors[0]};
      backend_->allreduce(bucket)->wait();
      return;
    }
    at::Tensor flat = at::empty({elements}, tensors[0].options());
    int64_t first = 0;
    for (const at::Tensor& tensor : tensors) {
      flat.narrow(0, first, tensor.numel()).copy_(tensor.reshape({-1}));
      first += tensor.numel();
    }
    std::vector<at::Tensor> bucket = {flat};
    backend_->allreduce(bucket)->wait();
    first = 0;
    for (at::Tensor& tensor : tensors) {
      tensor.copy_(flat.narrow(0, first, tensor.numel()).view(tensor.sizes()));
      first += tensor.numel();
    }
  }

  const c10::intrusive_ptr<c10d::Backend> backend_;
  const at::Device device_;
};

}  // namespace

absl::Status CollectiveError(const char* operation, const std::exception& error) {
  const std::string text = error.what();
  return absl::UnavailableError(absl::StrCat("collective failed: ", operation, ": ", text.substr(0, text.find('\n'))));
}

std::unique_ptr<Group> MakeC10dGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device) {
  return std::make_unique<C10dGroup>(std::move(backend), device);
}

}  // namespace muster
