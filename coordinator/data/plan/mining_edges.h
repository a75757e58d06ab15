// What mining must know of a split's queries besides their texts.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/document_numbering.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// The source of mined negatives.
inline constexpr std::string_view kMinedSource = "mined";

// For each of `queries` (of the split): the documents that are its positives, and those that are never mined for it:
//
// - everything that the split judges for it (positives, grade 0, hard negatives, ignored), or for another of `queries` with
//   the same text in normal form. Hard negatives of the source kMinedSource do not count, so that mining again may find
//   them again.
// - what has the query's own text: a passage without title, or the document with the query's id.
//
// Other splits are not read: leaving out what only a test split judges would tell training about the test. A document is
// named by the number of the document that is encoded for its text.
muster::internal::v1::MiningEdges MakeMiningEdges(const Dataset& dataset, const DocumentNumbering& numbering,
                                                  uint32_t split, std::span<const uint32_t> queries);

}  // namespace muster
