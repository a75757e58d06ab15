#include "worker/rank/link/exit_cause.h"

#include "absl/strings/match.h"
#include "common/status.h"
#include "worker/rank/train/trainer.h"

namespace muster {

muster::internal::v1::ExitCause CauseOf(const absl::Status& status) {
  if (status.ok()) return muster::internal::v1::EXIT_CAUSE_SUCCESS;
  if (absl::IsCancelled(status)) return muster::internal::v1::EXIT_CAUSE_STOPPED;
  if (ReasonOf(status) == kAllDamaged) return muster::internal::v1::EXIT_CAUSE_PERMANENT;
  if (ReasonOf(status) == kRanksDisagree) return muster::internal::v1::EXIT_CAUSE_DISAGREEMENT;
  if (absl::StrContains(status.message(), "collective failed: ")) return muster::internal::v1::EXIT_CAUSE_COLLECTIVE;
  // A refused model, a wrong share, or non-finite scores: every attempt would fail in the same way.
  if (absl::IsInvalidArgument(status)) return muster::internal::v1::EXIT_CAUSE_PERMANENT;
  return muster::internal::v1::EXIT_CAUSE_ERROR;
}

}  // namespace muster
