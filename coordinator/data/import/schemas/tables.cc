// Documents and queries with ids, which judgments in other files name. Every schema that judges by id has them.
#include <span>

#include "common/split_name.h"
#include "common/status.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

using Names = std::span<const std::string_view>;

std::string_view FirstIn(const InputRecord& record, Names keys) {
  for (const std::string_view key : keys) {
    if (record.Has(key)) return key;
  }
  return {};
}

constexpr std::string_view kDocumentIds[] = {"docid", "doc_id", "document_id", "corpus_id", "corpus-id", "pid", "passage_id"};
constexpr std::string_view kQueryIds[] = {"query_id", "query-id", "qid", "question_id"};
constexpr std::string_view kAnyIds[] = {"_id", "id"};
constexpr std::string_view kDocumentTexts[] = {"text", "document_text", "contents", "passage", "passage_text", "document", "body"};
constexpr std::string_view kQueryTexts[] = {"text", "query_text", "query", "question"};

// "_id" and "id" occur in both, so the file's name decides.
bool IsTable(std::string_view path, const InputRecord& record, TableName wanted, Names ids,
             Names other_ids, Names texts) {
  if (!record.is_object() || FirstIn(record, texts).empty()) return false;
  if (!FirstIn(record, ids).empty()) return FirstIn(record, other_ids).empty();
  return !FirstIn(record, kAnyIds).empty() && TableNamedBy(path) == wanted;
}

std::string_view KeyOf(const InputRecord& record, Names keys, std::string_view otherwise) {
  const std::string_view key = FirstIn(record, keys);
  return key.empty() ? otherwise : key;
}

absl::Status ReadDocument(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(const std::string id, IdOf(record, KeyOf(record, kDocumentIds, KeyOf(record, kAnyIds, "_id"))));
  ASSIGN_OR_RETURN(const std::string title, TitleOf(record.Find("title")));
  ASSIGN_OR_RETURN(const std::string_view text, TextOf(record, KeyOf(record, kDocumentTexts, "text")));
  return sink.Document(id, title, text);
}

absl::Status ReadQuery(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(const std::string id, IdOf(record, KeyOf(record, kQueryIds, KeyOf(record, kAnyIds, "_id"))));
  ASSIGN_OR_RETURN(const std::string_view text, TextOf(record, KeyOf(record, kQueryTexts, "text")));
  return sink.Query(id, text);
}

}  // namespace

const std::vector<RecordKind> kTableKinds = {
    {.schema = "",
     .fields = "documents: _id or docid, title, text",
     .holds = RecordKind::Holds::kDocuments,
     .matches = [](std::string_view path, const InputRecord& record) {
       return IsTable(path, record, TableName::kDocuments, kDocumentIds, kQueryIds, kDocumentTexts);
     },
     .read = ReadDocument,
     .columns = {"_id", "docid", "document_id", "title", "text", "document_text"}},
    {.schema = "",
     .fields = "queries: _id or query_id, text",
     .holds = RecordKind::Holds::kQueries,
     .matches = [](std::string_view path, const InputRecord& record) {
       return IsTable(path, record, TableName::kQueries, kQueryIds, kDocumentIds, kQueryTexts);
     },
     .read = ReadQuery,
     .columns = {"_id", "query_id", "text", "query_text"}}};

}  // namespace muster
