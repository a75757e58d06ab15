// sentence-transformers: flat columns. Their order decides, as it does there: anchor, positive, negatives; a column
// label or score judges the pair. Columns that are named with --columns are found by name.
// Source: https://sbert.net/docs/sentence_transformer/training_overview.html#dataset-format.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;
using Names = std::initializer_list<std::string_view>;

bool IsOneOf(std::string_view key, Names names) { return std::find(names.begin(), names.end(), key) != names.end(); }
bool IsAnchor(std::string_view key) { return IsOneOf(key, {"anchor", "query", "question", "sentence1", "sentence_0", "sentence_A"}); }
bool IsPositive(std::string_view key) {
  return IsOneOf(key, {"positive", "answer", "document", "passage", "sentence2", "sentence_1", "sentence_B"});
}
bool IsNegative(std::string_view key) {
  return absl::StartsWith(ToAbsl(key), "negative") || absl::StartsWith(ToAbsl(key), "hard_negative");
}

// The columns that hold texts, in their order. A null keeps its place, or the next column would move into it; but among
// columns of usual names, another one that is null is none of these.
std::vector<InputRecord::Value> TextColumns(const InputRecord& record) {
  std::vector<InputRecord::Value> columns;
  const auto has_role = [](std::string_view key) { return IsAnchor(key) || IsPositive(key) || IsNegative(key); };
  bool any_role = false;
  for (const InputRecord::Value value : record.root()) any_role = any_role || has_role(value.key());
  for (const InputRecord::Value value : record.root()) {
    const std::string_view key = value.key();
    if (IsOneOf(key, {"id", "label", "labels", "score", "scores", "source"}) || absl::EndsWith(ToAbsl(key), "_id")) continue;
    if (record.renamed && !has_role(key)) continue;
    const bool is_empty_place = value.kind() == Kind::kNull && (!any_role || has_role(key));
    if (is_empty_place || value.kind() == Kind::kText || value.kind() == Kind::kList) columns.push_back(value);
  }
  if (record.renamed) {
    const auto role = [](const InputRecord::Value& value) { return IsAnchor(value.key()) ? 0 : IsPositive(value.key()) ? 1 : 2; };
    std::stable_sort(columns.begin(), columns.end(), [&](const auto& a, const auto& b) { return role(a) < role(b); });
  }
  return columns;
}

bool Matches(std::string_view, const InputRecord& record) {
  if (!record.is_object() || HasAll(record, {"query", "document", "negatives"})) return false;  // contrastors
  const std::vector<InputRecord::Value> columns = TextColumns(record);
  if (columns.size() < 2 || !IsAnchor(columns[0].key()) || !IsPositive(columns[1].key())) return false;
  return std::all_of(columns.begin() + 2, columns.end(), [](const auto& column) { return IsNegative(column.key()); });
}

// Names that say another order than the columns have: which of both was meant is not known.
absl::Status CheckOrder(const std::vector<InputRecord::Value>& columns) {
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string_view key = columns[i].key();
    const bool wrong = (key == "anchor" && i != 0) || (key == "positive" && i != 1) || (IsNegative(key) && i < 2);
    if (wrong) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the order of the columns decides (anchor, positive, negatives), and \"", ToAbsl(key), "\" is number ", i + 1,
          ". Name them: --columns anchor=…,positive=…,negative=…"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadJudgment(const InputRecord& record, bool is_pair, CanonicalRow& row, RowSink& sink) {
  const std::string_view key = FirstOf(record, {"label", "labels", "score", "scores"});
  if (key.empty() || IsAbsent(record.Find(key))) return absl::OkStatus();
  if (!is_pair) {  // a margin or scores of several texts
    sink.Leave(LeftOut::kMargin);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const float value, NumberOf(record.Find(key), key, record.untyped));
  CanonicalPassage& passage = row.passages.front();
  if (key.starts_with("score")) {
    passage.grade = value;
    return absl::OkStatus();
  }
  if (value != 0 && value != 1) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must be 1 (the texts belong together) or 0, found ", value,
                                                   "; a similarity is a column score"));
  }
  if (value == 0) passage.relation = Relation::kNegative;
  return absl::OkStatus();
}

absl::Status ReadRow(const InputRecord& record, RowSink& sink) {
  const std::vector<InputRecord::Value> columns = TextColumns(record);
  if (!record.renamed) RETURN_IF_ERROR(CheckOrder(columns));
  if (record.renamed && columns.size() > 1 && !IsPositive(columns[1].key())) {
    return absl::InvalidArgumentError("\"positive\" must be a string, found nothing");
  }
  for (size_t i = 0; i < std::min<size_t>(columns.size(), 2); ++i) {
    if (columns[i].kind() != Kind::kNull) continue;
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(columns[i].key()), "\" must be a string, found null"));
  }
  if (columns.size() < 2 || columns[0].kind() != Kind::kText) {
    return absl::InvalidArgumentError(absl::StrCat("expected columns of text: anchor, positive, and negatives, found ", columns.size()));
  }
  CanonicalRow row;
  row.query = columns[0].text();
  ASSIGN_OR_RETURN(const std::string_view source, TextOf(record, "source", false));
  row.source = source;
  for (size_t i = 1; i < columns.size(); ++i) {
    if (columns[i].kind() == Kind::kNull) continue;  // fewer negatives than other rows have
    ASSIGN_OR_RETURN(std::vector<std::string> texts, TextsOf(record, columns[i].key(), true, true));
    AddTexts(std::move(texts), i == 1 ? Relation::kGraded : Relation::kNegative, row);
  }
  RETURN_IF_ERROR(ReadJudgment(record, row.passages.size() == 1, row, sink));
  return sink.Row(row);
}

}  // namespace

const std::vector<RecordKind> kSentenceTransformersKinds = {
    {.schema = "sentence-transformers",
     .fields = "columns anchor, positive, negatives; label or score",
     .matches = Matches,
     .read = ReadRow,
     .columns = {"anchor", "positive", "negative", "label", "score"}}};

}  // namespace muster
