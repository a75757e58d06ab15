// The figures of an import's report that are computed from the finished dataset.
#pragma once

#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Sets the figures that the writer has after Finish: positives per query, duplicates, false negatives, empty texts.
void AddFacts(const DatasetFacts& facts, muster::v1::ImportReport& report);

// Sets grades and sources (judgments of each), empty queries, queries without a positive in any split, and queries of
// split train whose normalized text is the text of a query of another split.
//
// Grades are those of positives and of documents judged not relevant; a hard negative has none. Above 20 different
// grades they are counted in ten ranges of equal width, "0.1 to 0.25".
void DescribeDataset(const Dataset& dataset, muster::v1::ImportReport& report);

}  // namespace muster
