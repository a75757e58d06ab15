#include "worker/rank/collective/c10d_group.h"

#include <ATen/ops/empty.h>

#include <utility>
#include <vector>

#include "worker/rank/collective/backend_group.h"

namespace muster {
namespace {

using Works = std::vector<c10::intrusive_ptr<c10d::Work>>;

class Waiting : public Transfer {
 public:
  explicit Waiting(Works works) : works_(std::move(works)) {}
  absl::Status Await() override {
    for (const auto& work : works_) work->wait();
    return absl::OkStatus();
  }

 private:
  const Works works_;
};

// Adds the values that each rank sent for this rank's rows, in rank order.
class AddingUp final : public Waiting {
 public:
  AddingUp(c10::intrusive_ptr<c10d::Work> work, at::Tensor full, at::Tensor parts, at::Tensor own)
      : Waiting({std::move(work)}), full_(std::move(full)), parts_(std::move(parts)), own_(std::move(own)) {}
  absl::Status Await() override {
    const absl::Status status = Waiting::Await();
    const int64_t rows = own_.size(0);
    if (!status.ok() || rows == 0) return status;
    own_.copy_(parts_.narrow(0, 0, rows));
    for (int64_t first = rows; first < parts_.size(0); first += rows) own_.add_(parts_.narrow(0, first, rows));
    return status;
  }

 private:
  const at::Tensor full_, parts_, own_;
};

class C10dGroup final : public BackendGroup {
 public:
  C10dGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device)
      : BackendGroup(device), backend_(std::move(backend)) {}

  int64_t rank() const override { return backend_->getRank(); }
  int64_t world_size() const override { return backend_->getSize(); }

 private:
  // Broadcasts each piece, because c10d's all-gather takes pieces of one size.
  Started Gather(std::vector<at::Tensor> pieces) override {
    Works works;
    for (size_t root = 0; root < pieces.size(); ++root) {
      if (pieces[root].numel() == 0) continue;
      std::vector<at::Tensor> piece = {pieces[root]};
      c10d::BroadcastOptions options;
      options.rootRank = static_cast<int64_t>(root);
      works.push_back(backend_->broadcast(piece, options));
    }
    return std::make_unique<Waiting>(std::move(works));
  }

  // Gloo's own reduce-scatter sends as much as an all-reduce, which is twice the bytes that are needed.
  Started ReduceScatter(const at::Tensor& full, std::span<const int64_t> counts, at::Tensor own) override {
    std::vector<int64_t> sends(counts.begin(), counts.end()), receives(counts.size(), own.size(0));
    std::vector<int64_t> shape = own.sizes().vec();
    shape[0] *= world_size();
    at::Tensor parts = at::empty(shape, own.options()), input = full;
    auto work = backend_->alltoall_base(parts, input, receives, sends);
    return std::make_unique<AddingUp>(std::move(work), full, parts, std::move(own));
  }

  Started AllReduce(at::Tensor tensor) override {
    std::vector<at::Tensor> bucket = {std::move(tensor)};
    return std::make_unique<Waiting>(Works{backend_->allreduce(bucket)});
  }

  const c10::intrusive_ptr<c10d::Backend> backend_;
};

}  // namespace

std::unique_ptr<Group> MakeC10dGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device) {
  return std::make_unique<C10dGroup>(std::move(backend), device);
}

}  // namespace muster
