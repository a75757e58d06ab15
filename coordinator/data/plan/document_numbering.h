// Documents numbered in the order in which an evaluation breaks ties.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "coordinator/data/dataset.h"

namespace muster {

// Shared by all evaluations over a dataset's documents; 12 bytes per document. Immutable.
//
// Numbers are in descending order of the bytes of document ids: of two documents with equal scores, the one with the
// smaller number comes first, as in trec_eval.
struct DocumentNumbering {
  std::vector<uint32_t> documents;  // number → document of the dataset
  std::vector<uint32_t> numbers;    // document → number
  std::vector<uint32_t> passages;   // number → passage
  // Number → the smallest number with the same text, which is encoded instead; ascending. Other documents are not here.
  std::vector<std::pair<uint32_t, uint32_t>> aliases;
};
DocumentNumbering NumberDocuments(const Dataset& dataset);

}  // namespace muster
