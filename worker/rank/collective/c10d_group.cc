#include "worker/rank/collective/c10d_group.h"

#include <utility>
#include <vector>

#include "worker/rank/collective/padded_group.h"

namespace muster {
namespace {

class C10dGroup final : public PaddedGroup {
 public:
  C10dGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device)
      : PaddedGroup(device), backend_(std::move(backend)) {}

  int64_t rank() const override { return backend_->getRank(); }
  int64_t world_size() const override { return backend_->getSize(); }

 private:
  absl::Status Gather(const at::Tensor& input, at::Tensor& output) override {
    at::Tensor own = input;
    backend_->_allgather_base(output, own)->wait();
    return absl::OkStatus();
  }

  absl::Status ReduceScatter(const at::Tensor& input, at::Tensor& output) override {
    at::Tensor full = input;
    backend_->_reduce_scatter_base(output, full)->wait();
    return absl::OkStatus();
  }

  absl::Status AllReduce(at::Tensor& tensor) override {
    std::vector<at::Tensor> bucket = {tensor};
    backend_->allreduce(bucket)->wait();
    return absl::OkStatus();
  }

  const c10::intrusive_ptr<c10d::Backend> backend_;
};

}  // namespace

std::unique_ptr<Group> MakeC10dGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device) {
  return std::make_unique<C10dGroup>(std::move(backend), device);
}

}  // namespace muster
