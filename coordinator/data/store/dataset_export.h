// A dataset as files of other tools.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/dataset.h"

namespace muster {

// Where the files go. An error of either ends the export.
struct ExportSink {
  std::function<absl::Status(const std::string& path)> begin;    // the bytes that follow belong to this file
  std::function<absl::Status(std::string_view bytes)> append;  // at most about 256 KiB at once, one text aside
};

// corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv. An import of these files gives the same dataset, except for what the
// format cannot carry: hard negatives are left out, and of the judgments of one query and document by several sources
// one stays, with the highest grade. `notes` says how many. FAILED_PRECONDITION for an id with a tab or a line end.
absl::Status ExportBeir(const Dataset& dataset, const ExportSink& sink, std::vector<std::string>& notes);

// SPLIT.jsonl, with rows of query, query_id, pos, pos_ids, neg, neg_ids, source, and pos_scores if any grade is not 1.
// Rows are in such an order that an import names queries and documents as before, where there is one: an import of rows
// that have no ids gives the same dataset. A query has several rows where its sources or this order ask for it.
//
// The format cannot carry titles (they are joined with the text), documents that no row names, judgments of grade 0, and
// negatives of a query without a positive. `notes` says how many.
absl::Status ExportJsonl(const Dataset& dataset, const ExportSink& sink, std::vector<std::string>& notes);

}  // namespace muster
