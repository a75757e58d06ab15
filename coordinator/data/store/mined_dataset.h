// Mined negatives as a dataset of their own, to be added to the dataset in which they were found.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {

struct MinedPair {
  uint32_t query = 0, document = 0;  // of the dataset
};

// Writes the pairs' queries and documents, with their ids and texts, and each pair as a hard negative of `source` in
// `split`, in the given order. AddDataset(base, <what was written>) then adds the negatives and nothing else.
absl::StatusOr<DatasetFacts> WriteMined(const Dataset& base, std::span<const MinedPair> pairs, const std::string& split,
                                        std::string_view source, DatasetWriter& out);

}  // namespace muster
