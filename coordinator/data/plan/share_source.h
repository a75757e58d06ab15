// Makes the shares that ranks read in each training step, from the datasets, their tokens and the plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/share_form.h"
#include "coordinator/data/tokenize/token_store.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/v1/data.pb.h"

namespace muster {

// The largest message that this makes; below kMaxMessageBytes of common/rpc/security.h.
inline constexpr size_t kMaxShareBytes = 63 << 20;

// Everything that one job's streams share: datasets, tokens, plan cache. Thread-safe.
class ShareSource {
 public:
  struct Options {
    // One per training set (common/spec/training_sets.h). Empty: the job evaluates only, and Share() is refused.
    std::vector<std::shared_ptr<const Dataset>> train;
    std::vector<std::shared_ptr<const TokenStore>> tokens;  // of `train`
    muster::v1::JobSpec spec;                  // defaults filled in
    muster::v1::ResolvedJob resolved;          // its train_queries and steps_per_epoch must be what the data gives
    const Clock* clock = &RealClock();              // only for `on_plan`: plans do not depend on time
    std::function<void(absl::Duration)> on_plan;    // how long a step's plan took; called from any thread
  };
  static absl::StatusOr<std::shared_ptr<ShareSource>> Create(Options options);
  ~ShareSource();

  // The share of `rank` of `world_size`. A step is planned once for all ranks of a world size; steps beyond an epoch
  // continue into the next one, without end. A pure function of the options and arguments: the same bytes every time.
  absl::StatusOr<muster::internal::v1::StepShare> Share(uint64_t step, uint32_t rank, uint32_t world_size,
                                                        ShareForm form = {});

 private:
  class State;
  explicit ShareSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Queries of the split with a positive that `data` lets be selected: an epoch's length, with one training set of weight 1.
uint64_t TrainQueries(const Dataset& dataset, uint32_t split, const muster::v1::DataSpec& data);

}  // namespace muster
