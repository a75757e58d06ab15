// For tests: one step of the trainer on in-process ranks, each with its share of a problem.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "worker/rank/collective/in_process.h"
#include "worker/rank/train/testing/problem.h"
#include "worker/rank/train/testing/problem_options.h"
#include "worker/rank/train/testing/reference_step.h"

namespace muster {

inline constexpr uint64_t kWeightSeed = 11;

// How many of a rank's graphs are kept.
enum class Keep { kNone, kHalf, kAll };
inline const char* KeepName(Keep keep) {
  return keep == Keep::kNone ? "replayed" : keep == Keep::kHalf ? "half kept" : "kept";
}
inline uint64_t KeptBytes(Keep keep, const EncoderConfig& config, const StepBatch& batch, bool bfloat16) {
  uint64_t all = 0;
  for (const PackedBatch& micro : batch.micro_batches) all += Encoder::GraphBytes(config, micro, bfloat16);
  return keep == Keep::kNone ? 0 : keep == Keep::kHalf ? all / 2 : all;
}

struct Cut {
  int64_t world_size = 1;
  size_t micro_tokens = 40;
  Keep keep = Keep::kHalf;
};

// Loss and gradients on each rank. Expects every rank to encode something.
inline std::vector<StepGradients> TrainedStep(const Problem& problem, const Cut& cut, TrainerOptions options,
                                              const EncoderOptions& encoder_options = {},
                                              const EncoderConfig& config = ProblemConfig()) {
  std::vector<StepGradients> outcomes(cut.world_size);
  const auto statuses = RunInProcessRanks(cut.world_size, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(config, kWeightSeed, encoder_options);
    if (!encoder.ok()) return encoder.status();
    const auto share = ShareOf(problem, group.rank(), cut.world_size, cut.micro_tokens);
    const auto batch = BatchFromShare(share, config, at::kCPU);
    if (!batch.ok()) return batch.status();
    EXPECT_GT(batch->tokens, 0) << "rank " << group.rank() << " of " << cut.world_size << " must encode something";
    TrainerOptions own = options;
    own.keep_activations = KeptBytes(cut.keep, config, *batch, encoder_options.bfloat16);
    Trainer trainer(**encoder, group, RealClock(), own);
    const auto report = trainer.Differentiate(*batch);
    if (!report.ok()) return report.status();
    outcomes[group.rank()] = {report->loss, trainer.gradients()};
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  return outcomes;
}

}  // namespace muster
