// Replaces some splits of a dataset: the result is the new import, plus the kept splits of the old dataset.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {

// Writes all of `fresh`, then the parts of `old` that the splits `kept` (none of which `fresh` has) need: their judgments, the
// judged queries, and the documents that these splits search. Judgments still refer to the same texts.
//
// - A document with an id of the user's stays whether or not a kept split judges it, since evaluation searches the whole
//   corpus. A document that an import named itself (p1, p2, … of rows without ids) stays if a kept split judges it.
// - Records in both are merged: documents and queries with equal id and text, and queries of rows with equal text.
// - Records that an import named (p1, q1, …) get new names.
//
// INVALID_ARGUMENT if an id of the user's in `old` means another text in `fresh`.
absl::Status MergeSplits(const Dataset& fresh, const Dataset& old, const std::vector<std::string>& kept,
                         DatasetWriter& out);

}  // namespace muster
