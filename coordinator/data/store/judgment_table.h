// The judgments of one split while a dataset is written: edges in any order, then rows by query (CSR).
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/data/dataset.h"

namespace muster {

struct JudgmentEdge {
  uint32_t query = 0;
  Judgment judgment;
};

struct JudgmentTable {
  std::vector<uint64_t> offsets;    // queries + 1
  std::vector<Judgment> judgments;  // of query q: offsets[q] .. offsets[q + 1]
  uint64_t contradicted = 0;        // hard negatives that were left out since the same query has the text as a positive
  uint64_t conflicting = 0;         // judgments that say of a query and document what another did, with another grade
};

// Rows in ascending order of queries; of a query first what has a grade, then negatives and what is ignored, each in the
// order given, so that the same judgments give the same row however files spread them. Of edges that say the same (document,
// source and sign) the first stays, with the highest grade. A hard negative, or what is to be ignored, whose passage is a positive of the same
// query in this split is left out.
JudgmentTable TableFromEdges(std::vector<JudgmentEdge> edges, uint32_t queries);

inline bool IsPositive(const Judgment& judgment) { return judgment.hard_negative == 0 && judgment.grade > 0; }

}  // namespace muster
