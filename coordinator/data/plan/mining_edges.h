// What mining needs to know about a split's queries besides their texts.
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

// For each of `queries` (all of them from the split): its positives, and the documents that are never mined for it:
//
// - Every document that the split judges for the query (positives, grade 0, hard negatives, ignored), or for another of
//   `queries` with the same text in normal form. Hard negatives of the source kMinedSource do not count as judged, so that
//   mining again may find them again.
// - The query's own text: a document that has it as its text and has no title, or the document with the query's id.
//
// Other splits are not read: excluding what only a test split judges would leak the test judgments into training. If several
// documents have the same text, the result names the one that ranks encode.
muster::internal::v1::MiningEdges MakeMiningEdges(const Dataset& dataset, const DocumentNumbering& numbering,
                                                  uint32_t split, std::span<const uint32_t> queries);

}  // namespace muster
