// Notes of an import's report.
#pragma once

#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Repairs made while reading: two grades for one pair, halves of characters.
void AddNotesOnRepairs(muster::v1::ImportReport& report);

// How many hard negatives are a positive of their own query, and how many of another query. Without the counts, the share of
// these would look alarming.
void AddNoteOnHardNegatives(const DatasetFacts& facts, muster::v1::ImportReport& report);

// Which splits share queries: evaluating on one of them after training on the other gives figures that are too good.
void AddNotesOnSharedQueries(const Dataset& dataset, muster::v1::ImportReport& report);

// Counts the queries that have a document's id, and names the option that leaves that document out of their ranking.
void AddIdenticalIds(const Dataset& dataset, muster::v1::ImportReport& report);

}  // namespace muster
