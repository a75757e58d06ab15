// Helpers that the schemas share.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/import/canonical.h"
#include "coordinator/data/import/record.h"
#include "coordinator/data/import/schema.h"

namespace muster {

inline bool HasAll(const InputRecord& record, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (!record.Has(key)) return false;
  }
  return record.is_object();
}

// The first of `keys` that the record has; empty: none.
inline std::string_view FirstOf(const InputRecord& record, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (record.Has(key)) return key;
  }
  return {};
}

inline bool IsKind(const InputRecord& record, std::string_view key, InputRecord::Kind kind) {
  const InputRecord::Value value = record.Find(key);
  return value && value.kind() == kind;
}

inline void AddTexts(std::vector<std::string> texts, Relation relation, CanonicalRow& row) {
  for (std::string& text : texts) {
    CanonicalPassage& passage = row.passages.emplace_back();
    passage.text = std::move(text);
    passage.relation = relation;
  }
}

inline void AddIds(std::vector<std::string> ids, Relation relation, CanonicalRow& row) {
  for (std::string& id : ids) {
    CanonicalPassage& passage = row.passages.emplace_back();
    passage.id = std::move(id);
    passage.has_text = false;
    passage.relation = relation;
  }
}

// The query's text under one of `keys` and its id, where the record has one; and the source of the judgments.
absl::Status ReadQuery(const InputRecord& record, std::initializer_list<std::string_view> keys, CanonicalRow& row);

absl::Status ReadSource(const InputRecord& record, CanonicalRow& row);

// A list of objects with a text, and, where they have them, a title and an id.
struct PassageKeys {
  std::string_view text = "text";
  std::initializer_list<std::string_view> ids;
};
absl::Status ReadPassages(const InputRecord& record, std::string_view key, bool required, const PassageKeys& keys,
                          Relation relation, CanonicalRow& row);

// A judgment by ids.
absl::Status Judge(std::string query, std::string document, Relation relation, float grade, std::string_view source,
                   RowSink& sink);

// A line of judgments: "query document grade" by tabs, or TREC's "query 0 document grade" by tabs or blanks. The first
// line of a file is a header if its grade is not a number.
absl::Status ReadJudgmentLine(const InputRecord& record, RowSink& sink);
// Whether a line has TREC's form: four fields, the second of which is meaningless, with an integer at the end.
bool IsTrecLine(std::string_view line);
bool IsLine(const InputRecord& record);  // the record of a file of plain lines

bool IsInQrelsFolder(std::string_view path);  // qrels/SPLIT.tsv

}  // namespace muster
