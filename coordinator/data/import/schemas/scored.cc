// Lists of documents with a teacher's scores: as texts (DenseOn), or as ids with tables of queries and documents
// (PyLate's knowledge distillation).
//
// By convention the first document of a list is the positive, and the others are negatives to train against. A
// document that the teacher scores at least as high as the first one is neither. Distillation uses the scores.
// Source: https://lightonai.github.io/pylate, "Knowledge distillation".
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

absl::Status ReadScores(const InputRecord& record, absl::string_view documents, CanonicalRow& row, RowSink& sink) {
  if (row.passages.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", documents, "\" must hold at least one document, found none"));
  }
  ASSIGN_OR_RETURN(const std::vector<float> scores, NumbersOf(record, "scores"));
  if (scores.size() != row.passages.size()) {
    return absl::InvalidArgumentError(absl::StrCat("\"scores\" must have as many entries as \"", documents, "\", found ",
                                                   scores.size(), " and ", row.passages.size()));
  }
  row.passages[0].relation = Relation::kGraded;
  for (size_t i = 0; i < scores.size(); ++i) {
    row.passages[i].score = scores[i];
    if (i > 0 && scores[i] >= scores[0]) row.passages[i].relation = Relation::kIgnored;
  }
  sink.Leave(LeftOut::kScores);
  return sink.Row(row);
}

absl::Status ReadScoredTexts(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  RETURN_IF_ERROR(ReadQuery(record, {"query", "query_text"}, row));
  ASSIGN_OR_RETURN(std::vector<std::string> documents, TextsOf(record, "documents", true));
  AddTexts(std::move(documents), Relation::kNegative, row);
  return ReadScores(record, "documents", row, sink);
}

absl::Status ReadIds(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  if (record.Has("query") || record.Has("query_text")) {
    RETURN_IF_ERROR(ReadQuery(record, {"query", "query_text"}, row));
  } else {
    ASSIGN_OR_RETURN(row.query_id, IdOf(record, "query_id"));
    row.has_query = false;
    RETURN_IF_ERROR(ReadSource(record, row));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> documents, IdsOf(record, "document_ids", true));
  AddIds(std::move(documents), Relation::kNegative, row);
  return ReadScores(record, "document_ids", row, sink);
}

}  // namespace

const std::vector<RecordKind> kScoredKinds = {
    {.schema = "scored-lists",
     .fields = "query, documents or document_ids, scores",
     .matches =
         [](std::string_view, const InputRecord& record) {
           return HasAll(record, {"query", "documents", "scores"});
         },
     .read = ReadScoredTexts,
     .columns = {"query", "documents", "scores"}},
    {.schema = "scored-lists",
     .fields = "query, document_ids, scores",
     .matches =
         [](std::string_view, const InputRecord& record) {
           return HasAll(record, {"query", "document_ids", "scores"});
         },
     .read = ReadIds,
     .columns = {"query", "document_ids", "scores"}},
    {.schema = "pylate-kd",
     .fields = "query_id, document_ids, scores",
     .matches =
         [](std::string_view, const InputRecord& record) {
           return HasAll(record, {"query_id", "document_ids", "scores"}) && !record.Has("query");
         },
     .read = ReadIds,
     .columns = {"query_id", "document_ids", "scores", "document_id", "text"}}};

}  // namespace muster
