// LlamaIndex's EmbeddingQAFinetuneDataset: one object with queries, corpus and relevant_docs.
// Source: https://github.com/run-llama/llama_index, llama_index/finetuning.
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;

absl::StatusOr<InputRecord::Value> ObjectOf(const InputRecord& record, std::string_view key) {
  const InputRecord::Value value = record.Find(key);
  if (value && value.kind() == Kind::kObject) return value;
  return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must be an object, found ", ToAbsl(KindOf(value))));
}

absl::Status ReadTextsOfKey(const InputRecord& record, std::string_view key, auto take) {
  ASSIGN_OR_RETURN(const InputRecord::Value texts, ObjectOf(record, key));
  for (const InputRecord::Value text : texts) {
    if (text.key().empty() || text.kind() != Kind::kText) {
      return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must map ids to texts, found ",
                                                     ToAbsl(KindOf(text)), " of id \"", ToAbsl(text.key()), "\""));
    }
    RETURN_IF_ERROR(take(std::string(text.key()), text.text()));
  }
  return absl::OkStatus();
}

absl::Status ReadDataset(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(const InputRecord::Value relevant, ObjectOf(record, "relevant_docs"));
  for (const InputRecord::Value ids : relevant) {
    if (ids.kind() != Kind::kList) {
      return absl::InvalidArgumentError(absl::StrCat("\"relevant_docs\" must map ids of queries to lists of ids, found ", ToAbsl(KindOf(ids))));
    }
  }
  RETURN_IF_ERROR(ReadTextsOfKey(
      record, "corpus", [&](const std::string& id, std::string_view text) { return sink.Document(id, {}, text); }));
  RETURN_IF_ERROR(ReadTextsOfKey(record, "queries",
                                 [&](const std::string& id, std::string_view text) { return sink.Query(id, text); }));
  for (const InputRecord::Value ids : relevant) {
    CanonicalRow row;
    row.query_id = ids.key();
    row.has_query = false;
    for (const InputRecord::Value id : ids) {
      ASSIGN_OR_RETURN(std::string document, IdOf(id, "relevant_docs"));
      AddIds({std::move(document)}, Relation::kGraded, row);
    }
    RETURN_IF_ERROR(sink.Row(row));
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<RecordKind> kLlamaIndexKinds = {
    {.schema = "llamaindex",
     .fields = "queries, corpus, relevant_docs",
     .matches = [](std::string_view, const InputRecord& record) { return record.Has("relevant_docs"); },
     .read = ReadDataset,
     .columns = {"queries", "corpus", "relevant_docs"}}};

}  // namespace muster
