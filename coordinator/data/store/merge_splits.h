// Replaces some splits of a dataset: the result is the new import, plus the kept splits of the old dataset.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {

// Writes all of `fresh`, then of `old` what the splits `kept` (none of which `fresh` has) need: their judgments, the
// queries that these judge, and the documents that these splits search. Judgments keep referring to their texts.
//
// - A document with an id of the user's stays whether or not a kept split judges it, since evaluation searches the
// whole
//   corpus. A document that an import named itself (p1, p2, … of rows without ids) stays if a kept split judges it.
// - What both have is one: documents of one id and text, queries of one id and text, and rows' queries of one text.
// - Names that an import gave (p1, q1, …) are given again.
//
// INVALID_ARGUMENT if an id of the user's in `old` means another text in `fresh`.
absl::Status MergeSplits(const Dataset& fresh, const Dataset& old, const std::vector<std::string>& kept,
                         DatasetWriter& out);

}  // namespace muster
