// Tevatron: rows with their passages, or with the ids of a corpus file {docid, title, text}; and the older form of
// OpenMatch with lists of texts.
// Source: https://github.com/texttron/tevatron, "Data format"; https://github.com/OpenMatch/OpenMatch.
#include "common/status.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

// A positive's score is its grade, and may be a teacher's. Whether the list has any.
absl::StatusOr<bool> ReadScores(const InputRecord& record, std::string_view key, size_t first, CanonicalRow& row, RowSink& sink) {
  const InputRecord::Value list = record.Find(key);
  if (IsAbsent(list)) return false;
  size_t index = first;
  bool has_scores = false, ungraded = false;
  for (const InputRecord::Value item : list) {
    const InputRecord::Value score = item.Find("score");
    if (!IsAbsent(score)) {
      has_scores = true;
      ASSIGN_OR_RETURN(const float grade, NumberOf(score, "score", false));
      ungraded |= grade <= 0;
      if (row.passages[index].relation == Relation::kGraded) row.passages[index].grade = grade;
      row.passages[index].score = grade;
    }
    ++index;
  }
  if (key == "positive_passages" && ungraded) sink.Leave(LeftOut::kUngradedScores);
  return has_scores;
}

// Scores of positives alone are grades. Of both, they are what a teacher said.
void NoteTeacher(bool of_positives, bool of_negatives, CanonicalRow& row, RowSink& sink) {
  if (of_negatives) sink.Leave(of_positives ? LeftOut::kTeacherScores : LeftOut::kNegativeScores);
  if (of_positives && of_negatives) return;
  for (CanonicalPassage& passage : row.passages) passage.score = kNoScore;
}

absl::Status ReadInline(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  RETURN_IF_ERROR(ReadQuery(record, {"query", "query_text"}, row));
  const PassageKeys keys = {.text = "text", .ids = {"docid", "doc_id"}};
  RETURN_IF_ERROR(ReadPassages(record, "positive_passages", true, keys, Relation::kGraded, row));
  ASSIGN_OR_RETURN(const bool of_positives, ReadScores(record, "positive_passages", 0, row, sink));
  const size_t positives = row.passages.size();
  RETURN_IF_ERROR(ReadPassages(record, "negative_passages", false, keys, Relation::kNegative, row));
  ASSIGN_OR_RETURN(const bool of_negatives, ReadScores(record, "negative_passages", positives, row, sink));
  NoteTeacher(of_positives, of_negatives, row, sink);
  return sink.Row(row);
}

absl::Status ReadById(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  if (record.Has("query_text") || record.Has("query")) {
    RETURN_IF_ERROR(ReadQuery(record, {"query_text", "query"}, row));
  } else {
    ASSIGN_OR_RETURN(row.query_id, IdOf(record, "query_id"));
    row.has_query = false;
    RETURN_IF_ERROR(ReadSource(record, row));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> positives, IdsOf(record, "positive_document_ids", true));
  ASSIGN_OR_RETURN(std::vector<std::string> negatives, IdsOf(record, "negative_document_ids", false));
  AddIds(std::move(positives), Relation::kGraded, row);
  AddIds(std::move(negatives), Relation::kNegative, row);
  return sink.Row(row);
}

absl::Status ReadTevatronTexts(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  RETURN_IF_ERROR(ReadQuery(record, {"query"}, row));
  ASSIGN_OR_RETURN(std::vector<std::string> positives, TextsOf(record, "positives", true));
  ASSIGN_OR_RETURN(std::vector<std::string> negatives, TextsOf(record, "negatives", false));
  AddTexts(std::move(positives), Relation::kGraded, row);
  AddTexts(std::move(negatives), Relation::kNegative, row);
  return sink.Row(row);
}

}  // namespace

const std::vector<RecordKind> kTevatronKinds = {
    {.schema = "tevatron",
     .fields = "query, positive_passages, negative_passages",
     .matches = [](std::string_view, const InputRecord& record) { return record.Has("positive_passages"); },
     .read = ReadInline,
     .columns = {"query_id", "query", "positive_passages", "negative_passages"}},
    {.schema = "tevatron",
     .fields = "query_id, query_text, positive_document_ids, negative_document_ids",
     .matches = [](std::string_view, const InputRecord& record) { return record.Has("positive_document_ids"); },
     .read = ReadById,
     .columns = {"query_id", "query_text", "positive_document_ids", "negative_document_ids", "docid", "title", "text"}},
    {.schema = "tevatron",
     .fields = "query, positives, negatives",
     .matches =
         [](std::string_view, const InputRecord& record) {
           return HasAll(record, {"query", "positives"});
         },
     .read = ReadTevatronTexts,
     .columns = {"query", "positives", "negatives"}}};

}  // namespace muster
