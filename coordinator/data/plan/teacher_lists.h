// Which queries of a training set can be taught: decided from the dataset and the rules alone, before any step.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/choose.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct TeacherListCounts {
  uint64_t scores = 0;   // of a teacher, of the given queries
  uint64_t queries = 0;  // that can bring a list to a step which says something
};

// A list says something with two passages (kl), or with a positive and another passage (margin_mse), of those that a step
// may bring of the query at once. `queries`: those that are trained on.
TeacherListCounts CountTeacherLists(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                                    const std::vector<uint32_t>& queries, muster::v1::DistillKind kind);

}  // namespace muster
