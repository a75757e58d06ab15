// Reads everything in a dataset, so that a wrong offset or index shows.
#pragma once

#include "coordinator/data/dataset.h"
#include "tests/fuzz/check.h"

namespace muster {

inline void ReadAll(const Dataset& dataset) {
  size_t bytes = 0;
  const auto touch = [&bytes](std::string_view text) {
    for (const char c : text) bytes += static_cast<unsigned char>(c);
  };
  for (uint32_t i = 0; i < dataset.passages(); ++i) {
    touch(dataset.title(i));
    touch(dataset.body(i));
  }
  for (uint32_t i = 0; i < dataset.documents(); ++i) {
    touch(dataset.document_id(i));
    FUZZ_CHECK(dataset.passage_of(i) < dataset.passages(), "a document of no passage");
  }
  for (uint32_t i = 0; i < dataset.queries(); ++i) {
    touch(dataset.query_id(i));
    touch(dataset.query_text(i));
    bytes += dataset.query_digest(i) + static_cast<size_t>(dataset.query_weight(i) > 0);
    for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
      for (const Judgment& judgment : dataset.judgments(split, i)) {
        FUZZ_CHECK(judgment.document < dataset.documents(), "a judgment of no document");
        FUZZ_CHECK(judgment.passage < dataset.passages(), "a judgment of no passage");
        FUZZ_CHECK(judgment.source < dataset.sources().size(), "a judgment of no source");
      }
      const auto scores = dataset.scores(split, i);
      FUZZ_CHECK(scores.empty() || scores.size() == dataset.judgments(split, i).size(), "scores of other judgments");
      for (const float score : scores) bytes += static_cast<size_t>(score > 0);
    }
  }
  volatile size_t sink = bytes;
  static_cast<void>(sink);
}

}  // namespace muster
