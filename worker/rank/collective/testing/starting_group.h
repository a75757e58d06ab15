// For tests: a group that shows what has been started.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/rank/collective/group.h"

namespace muster {

// Rank 0 of two, whose collectives do nothing.
class StartingGroup final : public Group {
 public:
  int64_t rank() const override { return 0; }
  int64_t world_size() const override { return 2; }
  std::unique_ptr<Pending> StartAllGather(std::vector<at::Tensor> pieces) override {
    rows += pieces[0].size(0);
    ++gathers;
    return std::make_unique<Done>();
  }
  std::unique_ptr<Pending> StartAllReduceSum(at::Tensor tensor) override {
    reduced.push_back(tensor);
    at_start.push_back(tensor.clone());
    return std::make_unique<Done>();
  }
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t>) override { return full; }
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) override {
    return std::vector<std::string>{own, own};
  }

  int64_t rows = 0, gathers = 0;
  std::vector<at::Tensor> reduced, at_start;  // at_start: copies of their values when the reduction started

 private:
  struct Done final : Pending {
    absl::Status Wait() override { return absl::OkStatus(); }
  };
};

}  // namespace muster
