// contrastors: query, document, negatives; metadata.objective names the keys of pairs and triplets where they differ.
// Source: https://github.com/nomic-ai/contrastors, "Data format".
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;

absl::Status ReadKeys(const InputRecord& record, std::string_view query, std::string_view document,
                      std::string_view negatives, RowSink& sink) {
  CanonicalRow row;
  ASSIGN_OR_RETURN(const std::string_view text, TextOf(record, query));
  row.query = text;
  RETURN_IF_ERROR(ReadSource(record, row));
  ASSIGN_OR_RETURN(std::vector<std::string> positives, TextsOf(record, document, true, true));
  AddTexts(std::move(positives), Relation::kGraded, row);
  if (!negatives.empty()) {
    ASSIGN_OR_RETURN(std::vector<std::string> texts, TextsOf(record, negatives, false, true));
    AddTexts(std::move(texts), Relation::kNegative, row);
  }
  return sink.Row(row);
}

absl::Status WrongObjective(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "\"metadata.objective\" must be {\"paired\": [[query, document]], \"triplet\": [[query, document, negatives]]}, found ", what));
}

absl::Status ReadContrastorsRow(const InputRecord& record, RowSink& sink) {
  const InputRecord::Value metadata = record.Find("metadata");
  const InputRecord::Value objective = metadata && metadata.kind() == Kind::kObject ? metadata.Find("objective") : InputRecord::Value();
  if (IsAbsent(objective)) return ReadKeys(record, "query", "document", "negatives", sink);
  if (objective.kind() != Kind::kObject) return WrongObjective(ToAbsl(KindOf(objective)));
  const InputRecord::Value self = objective.Find("self");
  if (!IsAbsent(self) && (self.kind() != Kind::kList || !self.empty())) {
    return WrongObjective("an objective \"self\", which pairs a text with itself and is not supported");
  }
  int read = 0;
  for (const auto& [name, size] : {std::pair<std::string_view, size_t>("paired", 2), {"triplet", 3}}) {
    const InputRecord::Value lists = objective.Find(name);
    if (IsAbsent(lists)) continue;
    if (lists.kind() != Kind::kList) return WrongObjective(ToAbsl(KindOf(lists)));
    for (const InputRecord::Value list : lists) {
      std::vector<std::string_view> keys;
      for (const InputRecord::Value key : list) keys.push_back(key.kind() == Kind::kText ? key.text() : std::string_view());
      if (list.kind() != Kind::kList || keys.size() != size) return WrongObjective("a list of another length");
      RETURN_IF_ERROR(ReadKeys(record, keys[0], keys[1], size == 3 ? keys[2] : std::string_view(), sink));
      ++read;
    }
  }
  return read > 0 ? absl::OkStatus() : WrongObjective("no list of keys");
}

}  // namespace

const std::vector<RecordKind> kContrastorsKinds = {{.schema = "contrastors",
                                                    .fields = "query, document, negatives, metadata.objective",
                                                    .matches =
                                                        [](std::string_view, const InputRecord& record) {
                                                          const InputRecord::Value metadata = record.Find("metadata");
                                                          return (metadata && metadata.kind() == Kind::kObject &&
                                                                  metadata.Find("objective")) ||
                                                                 HasAll(record, {"query", "document", "negatives"});
                                                        },
                                                    .read = ReadContrastorsRow,
                                                    .columns = {"query", "document", "negatives"}}};

}  // namespace muster
