// Whether a training set offers negatives, and which: computed from the dataset and the rules only, before any step.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/choose.h"

namespace muster {

// Whether some batch may hold a passage that is not relevant to one of its queries. False: in no epoch does any query
// ever have a negative. `queries`: those that are trained on; `batch`: queries per step. Stops at the first negative, so
// it reads the whole split only where there is none.
bool MayHaveNegatives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                      const std::vector<uint32_t>& queries, uint32_t batch);

// Whether some query may bring two positives or more to a step.
bool MayBringSeveralPositives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                              const std::vector<uint32_t>& queries);

// Hard negatives that the queries could bring.
uint64_t CountHardNegatives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                            const std::vector<uint32_t>& queries);

}  // namespace muster
