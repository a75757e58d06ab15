#include "worker/rank/collective/join.h"

namespace muster {

absl::StatusOr<std::unique_ptr<Group>> JoinNcclGroup(const JoinOptions&, at::Device) {
  return absl::FailedPreconditionError("this muster-rank was built without CUDA: run the job with resources.device cpu");
}

}  // namespace muster
