// Adding the judgments of an import to a dataset, with the queries and documents that are new.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Writes all of `old`, with the same indices and names, then what `fresh` adds to it:
//
// - A document or query with an id of the user's is the one of this id in `old`, or a new one. INVALID_ARGUMENT if the
//   two have different texts.
// - What the import of `fresh` named itself (rows without ids) is also known by its text: a document is the first in `old`
//   with the passage, a query the one of `old`'s rows with the text in normal form. New ones get new names.
// - A judgment that says the same (query, document, source, sign) as one of `old` in the split is that one, with the
//   higher grade of the two. One of another source is kept beside it.
//
// Adding what a dataset was made of gives the same dataset.
absl::Status AddDataset(const Dataset& old, const Dataset& fresh, DatasetWriter& out);

// What `merged`, which AddDataset made of `old` and `fresh`, has more than `old`.
muster::v1::AddedRecords CountAdded(const Dataset& old, const Dataset& fresh, const Dataset& merged);

}  // namespace muster
