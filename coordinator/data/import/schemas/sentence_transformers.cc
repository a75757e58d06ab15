// sentence-transformers: flat columns. Their order decides, as it does there: anchor, positive, negatives; a column
// label or score judges the pair. Columns named with --columns are found by name. Source:
// https://sbert.net/docs/sentence_transformer/training_overview.html#dataset-format.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;
bool IsOneOf(std::string_view key, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), key) != names.end();
}
bool IsAnchor(std::string_view key) { return IsOneOf(key, {"anchor", "query", "question", "sentence1", "sentence_0", "sentence_A"}); }
bool IsPositive(std::string_view key) {
  return IsOneOf(key, {"positive", "answer", "document", "passage", "sentence2", "sentence_1", "sentence_B"});
}
bool IsNegative(std::string_view key) {
  return absl::StartsWith(ToAbsl(key), "negative") || absl::StartsWith(ToAbsl(key), "hard_negative");
}

// Columns that pandas writes for an index, or renames because another column has the name.
bool IsIndex(std::string_view key) {
  return key.empty() || key.starts_with("Unnamed: ") || key.starts_with("__index_level_");
}

// The columns that hold texts, in their order. A null keeps its place, or the next column would move into it. But if
// the columns have usual names, a null column with another name is not one of these.
std::vector<InputRecord::Value> TextColumns(const InputRecord& record) {
  std::vector<InputRecord::Value> columns;
  const auto has_role = [](std::string_view key) { return IsAnchor(key) || IsPositive(key) || IsNegative(key); };
  bool any_role = false;
  for (const InputRecord::Value value : record.root()) any_role = any_role || has_role(value.key());
  for (const InputRecord::Value value : record.root()) {
    const std::string_view key = value.key();
    if (IsOneOf(key, {"id", "label", "labels", "score", "scores", "source"}) || absl::EndsWith(ToAbsl(key), "_id") || IsIndex(key)) continue;
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

// Whether the names imply a different order than the columns have. Then it is unknown which of the two was meant.
absl::Status CheckOrder(std::span<const std::string> columns) {
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string_view key = columns[i];
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

std::vector<std::string> NamesOf(const std::vector<InputRecord::Value>& columns) {
  std::vector<std::string> names;
  for (const InputRecord::Value column : columns) names.emplace_back(column.key());
  return names;
}

// The order of the first record's columns holds for the whole file: a key that a later record lacks must not move the
// next one into its place.
std::vector<std::string> OrderOf(const InputRecord& record) {
  std::vector<std::string> names = NamesOf(TextColumns(record));
  return record.renamed || names.size() < 2 || !CheckOrder(names).ok() ? std::vector<std::string>() : names;
}

struct Column {
  std::string_view key;
  InputRecord::Value value;
};

absl::StatusOr<std::vector<Column>> ColumnsOf(const InputRecord& record) {
  std::vector<Column> columns;
  for (const std::string& name : record.columns) columns.push_back({name, record.Find(name)});
  for (const InputRecord::Value value : TextColumns(record)) {
    const bool is_known = std::any_of(columns.begin(), columns.end(), [&](const Column& column) { return column.key == value.key(); });
    if (is_known) continue;
    if (!record.columns.empty() && value.kind() != Kind::kNull && !IsNegative(value.key())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the order of the first record's columns decides (", absl::StrJoin(record.columns, ", "), "), and it has no \"",
          ToAbsl(value.key()), "\". Name the columns: --columns anchor=…,positive=…,negative=…"));
    }
    value.MarkRead();
    columns.push_back({value.key(), value});
  }
  return columns;
}

absl::Status ReadExampleRow(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(const std::vector<Column> columns, ColumnsOf(record));
  if (!record.renamed && record.columns.empty()) RETURN_IF_ERROR(CheckOrder(NamesOf(TextColumns(record))));
  if (record.renamed && columns.size() > 1 && !IsPositive(columns[1].key)) {
    return absl::InvalidArgumentError("\"positive\" must be a string, found nothing");
  }
  for (size_t i = 0; i < std::min<size_t>(columns.size(), 2); ++i) {
    const InputRecord::Value value = columns[i].value;
    if (value && (value.kind() == Kind::kText || (i == 1 && value.kind() == Kind::kList))) continue;
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(columns[i].key), "\" must be a string, found ", ToAbsl(KindOf(value))));
  }
  if (columns.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat("expected columns of text: anchor, positive, and negatives, found ", columns.size()));
  }
  CanonicalRow row;
  row.query = columns[0].value.text();
  RETURN_IF_ERROR(ReadSource(record, row));
  for (size_t i = 1; i < columns.size(); ++i) {
    if (i > 1 && IsAbsent(columns[i].value)) continue;  // fewer negatives than other rows have
    ASSIGN_OR_RETURN(std::vector<std::string> texts, TextsOf(record, columns[i].key, true, true));
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
     .read = ReadExampleRow,
     .columns_of = OrderOf,
     .columns = {"anchor", "positive", "negative", "label", "score"}}};

}  // namespace muster
