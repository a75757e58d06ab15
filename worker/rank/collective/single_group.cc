#include "worker/rank/collective/group.h"

namespace muster {
namespace {

class SingleGroup final : public Group {
 public:
  int64_t rank() const override { return 0; }
  int64_t world_size() const override { return 1; }
  absl::StatusOr<at::Tensor> AllGatherRows(const at::Tensor& own, std::span<const int64_t>) override { return own; }
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t>) override {
    return full;
  }
  absl::Status AllReduceSum(std::span<at::Tensor>) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) override {
    return std::vector<std::string>{own};
  }
};

}  // namespace

std::unique_ptr<Group> MakeSingleGroup() { return std::make_unique<SingleGroup>(); }

}  // namespace muster
