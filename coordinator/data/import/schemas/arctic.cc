// Arctic Embed's labels, with tables of queries and documents: query_id, document_id, label. +1 is a positive, -1 a
// negative to train against, 0 neither.
// Source: https://github.com/Snowflake-Labs/arctic-embed.
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

absl::Status ReadLabel(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(std::string query, IdOf(record, "query_id"));
  ASSIGN_OR_RETURN(std::string document, IdOf(record, "document_id"));
  const std::string_view key = record.Has("relevance") && !record.Has("label") ? "relevance" : "label";
  ASSIGN_OR_RETURN(const float label, NumberOf(record.Find(key), key, record.untyped));
  ASSIGN_OR_RETURN(const std::string_view source, TextOf(record, "source", false));
  if (label == 1) return Judge(std::move(query), std::move(document), Relation::kGraded, 1, source, sink);
  if (label == -1) return Judge(std::move(query), std::move(document), Relation::kNegative, 1, source, sink);
  if (label == 0) return Judge(std::move(query), std::move(document), Relation::kIgnored, 1, source, sink);
  return absl::InvalidArgumentError(absl::StrCat("a label must be 1, -1 or 0, found ", label,
                                                 "; grades are of schema beir, in a column score"));
}

}  // namespace

const std::vector<RecordKind> kArcticKinds = {
    {.schema = "arctic",
     .fields = "query_id, document_id, label",
     .matches = [](std::string_view, const InputRecord& record) { return HasAll(record, {"query_id", "document_id", "label"}); },
     .read = ReadLabel,
     .columns = {"query_id", "document_id", "label", "query_text", "document_text", "title"}}};

}  // namespace muster
