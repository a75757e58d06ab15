// A dataset as files of other tools.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/dataset.h"

namespace muster {

// Receives the files. An error of either function ends the export.
struct ExportSink {
  std::function<absl::Status(const std::string& path)> begin;  // the bytes that follow belong to this file
  std::function<absl::Status(std::string_view bytes)> append;  // about 256 KiB at once, or one longer text
};

// queries.jsonl, qrels/SPLIT.tsv, corpus.jsonl, in this order. An import of these files gives the same dataset, except for what
// the format cannot carry: hard negatives are left out, and if several sources judged the same query and document, only the
// highest grade stays. `notes` counts both. FAILED_PRECONDITION for an id with a tab or a line end.
absl::Status ExportBeir(const Dataset& dataset, const ExportSink& sink, std::vector<std::string>& notes);

// SPLIT.jsonl, with rows of query, query_id, pos, pos_ids, neg, neg_ids, source, and pos_scores if any grade is not 1.
// If possible, the rows are ordered so that an import gives queries and documents the same names: importing rows
// without ids then gives the same dataset. A query has several rows if its sources or this order require it.
//
// The format cannot carry titles (they are joined with the text), documents that no row names, judgments of grade 0,
// and negatives of a query without a positive. `notes` counts them.
absl::Status ExportJsonl(const Dataset& dataset, const ExportSink& sink, std::vector<std::string>& notes);

}  // namespace muster
