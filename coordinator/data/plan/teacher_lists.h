// Counts, before any step, the queries of a training set for which distillation has a loss.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/choose.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct TeacherListCounts {
  uint64_t scores = 0;   // teacher's scores of the given queries
  uint64_t queries = 0;  // how many of them can bring a list that has something to compare
};

// A list has something to compare if one step can bring two scored passages of the query (kl), or a scored positive and
// another scored passage (margin_mse). `queries`: the queries that the job trains on.
TeacherListCounts CountTeacherLists(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                                    const std::vector<uint32_t>& queries, muster::v1::DistillKind kind);

}  // namespace muster
