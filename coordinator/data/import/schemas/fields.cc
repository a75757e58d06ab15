#include "coordinator/data/import/schemas/fields.h"

#include <cmath>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

// TREC's second field, which has no meaning.
bool IsNoField(absl::string_view field) { return field == "0" || field == "Q0" || field == "q0"; }

// Splits at tabs into three or four fields, or at any blanks into TREC's four. Three fields between blanks are not a judgment,
// because one of TREC's four is missing.
std::vector<absl::string_view> FieldsOf(absl::string_view line) {
  line = absl::StripTrailingAsciiWhitespace(line);
  std::vector<absl::string_view> by_tabs = absl::StrSplit(line, '\t');
  std::vector<absl::string_view> by_blanks = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (by_blanks.size() != 4 || by_tabs.size() == 4) return by_tabs;
  // "q1 0<tab>d1<tab>1" is a line of TREC; in "q1<tab>0 d1<tab>1" the document's id has a blank.
  const bool is_mixed = absl::StripAsciiWhitespace(by_tabs[0]).find(' ') != absl::string_view::npos && IsNoField(by_blanks[1]);
  return by_tabs.size() != 3 || is_mixed ? by_blanks : by_tabs;
}

}  // namespace

absl::Status ReadQuery(const InputRecord& record, std::initializer_list<std::string_view> keys, CanonicalRow& row) {
  std::string_view key = FirstOf(record, keys);
  if (key.empty()) key = *keys.begin();
  ASSIGN_OR_RETURN(const std::string_view query, TextOf(record, key));
  row.query = query;
  const std::string_view id = FirstOf(record, {"query_id", "qid", "question_id"});
  if (!id.empty() && !IsAbsent(record.Find(id))) {
    ASSIGN_OR_RETURN(row.query_id, IdOf(record, id));
  }
  return ReadSource(record, row);
}

absl::Status ReadSource(const InputRecord& record, CanonicalRow& row) {
  ASSIGN_OR_RETURN(const std::string_view source, TextOf(record, "source", false));
  row.source = source;
  return absl::OkStatus();
}

absl::Status ReadPassages(const InputRecord& record, std::string_view key, bool required, const PassageKeys& keys,
                          Relation relation, CanonicalRow& row) {
  const InputRecord::Value list = record.Find(key);
  if (IsAbsent(list) && (!required || list)) return absl::OkStatus();  // an empty list may be saved as null
  const auto expected = [&](std::string_view found) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must be a list of objects with \"",
                                                   ToAbsl(keys.text), "\", found ", ToAbsl(found)));
  };
  if (!list || list.kind() != InputRecord::Kind::kList) return expected(KindOf(list));
  for (const InputRecord::Value item : list) {
    if (item.kind() != InputRecord::Kind::kObject) return expected(absl::StrCat(ToAbsl(KindOf(item)), " in it"));
    CanonicalPassage& passage = row.passages.emplace_back();
    passage.relation = relation;
    const InputRecord::Value text = item.Find(keys.text), title = item.Find("title");
    if (!text || text.kind() != InputRecord::Kind::kText) return expected(absl::StrCat("an object in which it is ", ToAbsl(KindOf(text))));
    passage.text = text.text();
    absl::StatusOr<std::string> title_text = TitleOf(title);
    if (!title_text.ok()) return expected(absl::StrCat("an object in which \"title\" is ", ToAbsl(KindOf(title))));
    passage.title = *std::move(title_text);
    for (const std::string_view id_key : keys.ids) {
      const InputRecord::Value id = item.Find(id_key);
      if (IsAbsent(id) || (id.kind() == InputRecord::Kind::kText && id.text().empty())) continue;
      ASSIGN_OR_RETURN(passage.id, IdOf(id, id_key));
      break;
    }
  }
  return absl::OkStatus();
}

absl::Status Judge(std::string query, std::string document, Relation relation, float grade, std::string_view source,
                   RowSink& sink) {
  CanonicalRow row;
  row.query_id = std::move(query);
  row.has_query = false;
  row.source = source;
  CanonicalPassage& passage = row.passages.emplace_back();
  passage.id = std::move(document);
  passage.has_text = false;
  passage.relation = relation;
  passage.grade = grade;
  return sink.Row(row);
}

absl::Status ReadJudgmentLine(const InputRecord& record, RowSink& sink) {
  const std::vector<absl::string_view> fields = FieldsOf(ToAbsl(record.root().text()));
  if (fields.size() != 3 && fields.size() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected 3 tab-separated fields (query-id, corpus-id, score), or TREC's 4 (query 0 document "
                     "grade), found ", fields.size()));
  }
  const absl::string_view query = fields.front(), document = fields[fields.size() - 2];
  const absl::string_view grade_text = absl::StripAsciiWhitespace(fields.back());
  float grade = 0;
  if (!absl::SimpleAtof(grade_text, &grade)) {
    if (record.number == 1) return absl::OkStatus();  // the header
    return absl::InvalidArgumentError(absl::StrCat("expected a number as score, found \"", grade_text, "\""));
  }
  if (!std::isfinite(grade)) {
    return absl::InvalidArgumentError(absl::StrCat("expected a finite score, found ", grade_text));
  }
  if (query.empty() || document.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("expected the id of a ", query.empty() ? "query" : "document", ", found nothing"));
  }
  return Judge(std::string(query), std::string(document), Relation::kGraded, grade, {}, sink);
}

bool IsTrecLine(std::string_view line) {
  const std::vector<absl::string_view> fields = FieldsOf(ToAbsl(line));
  int64_t grade = 0;
  return fields.size() == 4 && IsNoField(fields[1]) &&
         absl::SimpleAtoi(fields[3], &grade);
}

bool IsLine(const InputRecord& record) { return !record.empty() && record.root().kind() == InputRecord::Kind::kText; }

bool IsInQrelsFolder(std::string_view path) {
  const std::filesystem::path name(path);
  return name.extension() == ".tsv" && name.parent_path().filename() == "qrels";
}

}  // namespace muster
