// The learning rates of a model's parts (optimizer.learning_rates, optimizer.layer_decay), as pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "muster/v1/job.pb.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// The group of each parameter: its depth (common/model/parts.h), or 0 if the specification gives all parts the same rate.
std::vector<size_t> RateGroupsOf(const muster::v1::OptimizerSpec& spec, std::span<const Parameter> parameters, int64_t layers);

// Each group's maximum learning rate in the schedule: that of learning_rates for a part that it names, otherwise learning_rate.
// With layer_decay d and L layers, layer i has its part's rate times d^(L - 1 - i). Embeddings that learning_rates does not
// name have learning_rate times d^L; the head is not decayed.
// Sources: Bao et al., "BEiT", ICLR 2022, and Clark et al., "ELECTRA", ICLR 2020. They train a new head at the full rate, so
// their last layers already have the factors d^1 (BEiT) and d^2 (ELECTRA).
std::vector<double> MaximaOf(const muster::v1::OptimizerSpec& spec, int64_t layers);

}  // namespace muster
