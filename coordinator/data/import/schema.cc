#include "coordinator/data/import/schema.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

std::vector<RecordKind> AllKinds() {
  std::vector<RecordKind> all;
  for (const auto* kinds : {&kBeirKinds, &kFlagEmbeddingKinds, &kTevatronKinds, &kSentenceTransformersKinds, &kDprKinds,
                            &kNemoKinds, &kMsSwiftKinds, &kContrastorsKinds, &kLlamaIndexKinds, &kArcticKinds,
                            &kScoredKinds, &kMsMarcoKinds, &kTrecKinds, &kTableKinds}) {
    all.insert(all.end(), kinds->begin(), kinds->end());
  }
  return all;
}

// Schemas whose judgments refer to ids. Each accepts the judgments of the others next to its own tables.
bool IsJudgmentList(std::string_view schema) { return schema == "beir" || schema == "trec" || schema == "msmarco"; }

bool IsOf(const RecordKind& kind, std::string_view schema) {
  return schema.empty() || kind.schema == schema || kind.schema.empty() ||
         (IsJudgmentList(schema) && IsJudgmentList(kind.schema));
}

// A column "relevance" holds labels in Arctic's files and grades elsewhere, and 0 has a different meaning in each.
bool IsRelevanceOfTwoMeanings(const InputRecord& record) {
  return HasAll(record, {"query_id", "document_id", "relevance"}) && !record.Has("label") && !record.Has("score");
}

}  // namespace

std::span<const RecordKind> RecordKinds() {
  static const std::vector<RecordKind> kKinds = AllKinds();
  return kKinds;
}

std::vector<std::string> SchemaNames() {
  std::vector<std::string> names;
  for (const RecordKind& kind : RecordKinds()) {
    const std::string name(kind.schema);
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

std::string KnownSchemas() {
  std::vector<std::string> schemas;
  for (const std::string& name : SchemaNames()) {
    schemas.push_back(absl::StrCat(name, " (", ToAbsl(FirstKindOf(name)->fields), ")"));
  }
  return absl::StrJoin(schemas, ", ");
}

absl::StatusOr<const RecordKind*> DetectKind(std::string_view path, const InputRecord& record, std::string_view schema) {
  const RecordKind* found = nullptr;
  for (const RecordKind& kind : RecordKinds()) {
    if (!IsOf(kind, schema) || !kind.matches(path, record)) continue;
    if (found == nullptr) {
      found = &kind;
    } else if (!kind.schema.empty() && kind.schema != found->schema &&
               !(IsJudgmentList(kind.schema) && IsJudgmentList(found->schema))) {
      return absl::InvalidArgumentError(absl::StrCat("the record could be of schema ", ToAbsl(found->schema), " or ",
                                                     ToAbsl(kind.schema), ". Name it: --schema ", ToAbsl(found->schema),
                                                     " or --schema ", ToAbsl(kind.schema)));
    }
  }
  if (found != nullptr || !IsRelevanceOfTwoMeanings(record)) return found;
  if (schema == "arctic" || schema == "beir") return FirstKindOf(schema);
  return absl::InvalidArgumentError(
      "\"relevance\" may hold grades, in which 0 is judged and not relevant (--schema beir), or Arctic's labels, in which "
      "0 is ignored (--schema arctic). Name the schema");
}

const RecordKind* FirstKindOf(std::string_view schema) {
  for (const RecordKind& kind : RecordKinds()) {
    if (!schema.empty() && kind.schema == schema) return &kind;
  }
  return nullptr;
}

}  // namespace muster
