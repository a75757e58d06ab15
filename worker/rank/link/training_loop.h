// The steps of an attempt, with evaluations, early stop and checkpoints between them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/link/batch_source.h"
#include "worker/rank/link/rank_parts.h"

namespace muster {

// Not thread-safe. `parts` must outlive it.
class TrainingLoop {
 public:
  explicit TrainingLoop(RankParts& parts) : parts_(parts) {}

  // Trains from `parts.cursor` to the last step, or to the step after which training stops early. CANCELLED if the rank was
  // asked to stop; with kSave a checkpoint of that step was stored, or the message says why not.
  absl::Status Run();

  // Human-readable note about a run that succeeded; equal on all ranks.
  std::string Note() const;

 private:
  struct Taken {
    BatchSource::Step data;
    StepReport report;
    double seconds = 0;  // including the wait for data
    bool last = false;   // of the job
  };
  std::unique_ptr<BatchSource> StartBatches() const;
  absl::StatusOr<BatchSource::Step> NextStep(BatchSource& batches);
  void BeginStageIfDue();
  absl::StatusOr<Taken> TakeStep(BatchSource& batches);
  absl::Status Record(const Taken& taken);
  void CountNegatives(const StepReport& report);
  absl::Status KeepLedger(const muster::internal::v1::StepShare& share, const StepReport& report);
  absl::Status EvaluateIfDue(bool last);
  absl::Status Checkpoint(bool must);
  absl::Status Stop(StopRequest stop);
  void AdvisePrecision() const;

  RankParts& parts_;
  double product_rate_ = 0;                                // of the device, in operations per second; 0: not measured
  uint64_t steps_taken_ = 0, steps_without_negative_ = 0;  // of this attempt
};

}  // namespace muster
