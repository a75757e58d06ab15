// The judgments of one split while a dataset is written: edges in any order, then rows by query (CSR).
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/data/dataset.h"

namespace muster {

struct JudgmentEdge {
  uint32_t query = 0;
  Judgment judgment;
  float score = kNoScore;
};

struct JudgmentTable {
  std::vector<uint64_t> offsets;    // queries + 1
  std::vector<Judgment> judgments;  // query q has offsets[q] .. offsets[q + 1]
  std::vector<float> scores;        // of a teacher, one per judgment; empty: no judgment has one
  uint64_t contradicted = 0;        // hard negatives that were left out because the same query has the text as a positive
  uint64_t conflicting = 0;  // judgments that repeat another one with another grade
};

// Rows in ascending order of queries. Within a query, graded judgments come first, then negatives and ignored ones,
// each in the given order, so that the same judgments give the same row however the files distribute them. Of several graded
// judgments (or of several others) with the same document and source, the first stays, with the highest grade and the first
// score. Leaves out a hard negative or ignored judgment whose passage is a positive of the same query in this split.
JudgmentTable TableFromEdges(std::vector<JudgmentEdge> edges, uint32_t queries);

inline bool IsPositive(const Judgment& judgment) { return judgment.hard_negative == 0 && judgment.grade > 0; }

}  // namespace muster
