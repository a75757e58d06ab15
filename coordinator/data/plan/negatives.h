// Whether training sets offer negatives, and which: computed from the datasets and the rules only, before any step.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/choose.h"
#include "coordinator/data/plan/step_plan.h"

namespace muster {

// Whether some batch may hold a passage that is not relevant to one of its queries. False: in no epoch does any query
// ever have a negative. Considers batches of the training sets from `first` to `last`, which may be mixed in them. Stops at the
// first negative, so it reads the whole split only where there is none. With weights below 1 it may be true where the queries
// that could be each other's negatives are never drawn in one epoch.
bool MayHaveNegatives(const TrainingInputs& inputs, size_t first, size_t last);

// Whether some query may bring two positives or more to a step.
bool MayBringSeveralPositives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                              const std::vector<uint32_t>& queries);

// Hard negatives that the queries could bring.
uint64_t CountHardNegatives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                            const std::vector<uint32_t>& queries);

}  // namespace muster
