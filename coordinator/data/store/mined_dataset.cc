#include "coordinator/data/store/mined_dataset.h"

#include "absl/container/flat_hash_map.h"
#include "common/status.h"

namespace muster {

absl::StatusOr<DatasetFacts> WriteMined(const Dataset& base, std::span<const MinedPair> pairs, const std::string& split,
                                        std::string_view source, DatasetWriter& out) {
  ASSIGN_OR_RETURN(const uint16_t mined, out.AddSource(source));
  absl::flat_hash_map<uint32_t, uint32_t> documents, queries;  // number in `base` → number in `out`
  for (const MinedPair& pair : pairs) {
    const auto [document, is_new_document] = documents.try_emplace(pair.document, 0);
    if (is_new_document) {
      const uint32_t passage = base.passage_of(pair.document);
      ASSIGN_OR_RETURN(const uint32_t written, out.AddPassage(base.title(passage), base.body(passage)));
      ASSIGN_OR_RETURN(document->second, out.AddDocument(base.document_id(pair.document), written));
    }
    const auto [query, is_new_query] = queries.try_emplace(pair.query, 0);
    if (is_new_query) {
      ASSIGN_OR_RETURN(query->second, out.AddQuery(base.query_id(pair.query), base.query_text(pair.query)));
    }
    out.AddJudgment(split, query->second, {.document = document->second,
                                           .passage = out.passage_of(document->second),
                                           .source = mined,
                                           .hard_negative = kHardNegative});
  }
  return out.Finish(/*needs_positive=*/false);
}

}  // namespace muster
