// Writes mined negatives as a separate dataset, which is then added to the dataset in which they were found.
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

// Writes the pairs' queries and documents, with ids and texts, and each pair as a hard negative of `source` in `split`, in
// the given order. AddDataset(base, <this dataset>) then adds the negatives and nothing else.
absl::StatusOr<DatasetFacts> WriteMined(const Dataset& base, std::span<const MinedPair> pairs, const std::string& split,
                                        std::string_view source, DatasetWriter& out);

}  // namespace muster
