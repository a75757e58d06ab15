// Queries that share their id with a document. In some sets (ArguAna, Quora) the query is that document, and every
// model ranks it first.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/data/dataset.h"

namespace muster {

struct IdenticalId {
  uint32_t query = 0, document = 0;
};

// In ascending order of documents. Includes all documents that share an id.
std::vector<IdenticalId> IdenticalIds(const Dataset& dataset);

// Whether the query's text equals the document's in normal form, with or without the title.
bool IsSameText(const Dataset& dataset, const IdenticalId& pair);

}  // namespace muster
