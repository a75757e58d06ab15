#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/sample_ledger.h"
#include "worker/rank/device/step_phase.h"
#include "worker/rank/train/stop_request.h"

namespace muster {

// The figures of a step. Counts and means cover the global batch and are equal on all ranks; seconds are those of this rank.
struct StepReport {
  uint64_t step = 0;
  double loss = 0, learning_rate = 0, gradient_norm = 0;  // the norm before clipping
  int64_t queries = 0, valid_rows = 0, tokens = 0, ignored_pairs = 0;
  int64_t negative_pairs = 0;                   // 0: no query had a negative
  double mean_positive = 0, mean_negative = 0;  // similarities, before temperature
  double positive_entropy = 0;                  // mean over valid rows, in nats
  std::vector<double> positive_weights;         // shares of the gradient over positives (PositiveWeights::MeanShares)
  std::optional<double> noise_weight;           // share of it on positives that data.noise put there; absent: the job has none
  QuerySum applied;                             // the queries, of all ranks, that the update was computed from
  uint64_t gathered_bytes = 0;                  // of the embeddings of all ranks
  double rank_skew_seconds = 0;                 // slowest minus fastest rank's own work, in the previous step
  double product_share = 0;                     // share reached of the device's product rate; set by the caller; 0: unknown
  uint64_t peak_memory_bytes = 0;               // 0: not measured
  StopRequest stop = StopRequest::kNone;        // a rank was asked to stop: all ranks stop after this step
  // Without kData, which the caller adds. On a GPU these belong to the previous step: its events are read after they have
  // passed, so that no phase waits for the device.
  PhaseSeconds seconds;
};

}  // namespace muster
