// Adding the judgments of an import to a dataset, with the queries and documents that are new.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Writes all of `old`, with the same indices and names, then what `fresh` adds to it:
//
// - A document or query with a user's id is the one with this id in `old`, or a new one. INVALID_ARGUMENT if the two
// have different texts.
// - Records that the import of `fresh` named itself (rows without ids) are also known by their text: a document is the
// first in `old` with the passage, a query is the row of `old` with the same text in normal form. New ones get new
// names.
// - A judgment with the same query, document, source and sign as one of `old` in the split is that one, with the higher
// grade of the two. A judgment of another source is kept in addition.
//
// Adding the files that a dataset was made from gives the same dataset. `progress` gets the share of `old`'s texts that
// are written, regularly; its error ends the addition.
absl::Status AddDataset(const Dataset& old, const Dataset& fresh, DatasetWriter& out,
                        const std::function<absl::Status(double)>& progress = {});

// What `merged`, the result of AddDataset(`old`, `fresh`), contains in addition to `old`.
muster::v1::AddedRecords CountAdded(const Dataset& old, const Dataset& fresh, const Dataset& merged);

}  // namespace muster
