// BEIR: corpus.jsonl {_id, title, text}, queries.jsonl {_id, text}, qrels/SPLIT.tsv (query-id, corpus-id, score).
// Source: https://github.com/beir-cellar/beir/wiki/Load-your-custom-dataset
#include "common/status.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

bool IsBeirQrels(std::string_view path, const InputRecord& record) {
  if (IsLine(record)) return IsInQrelsFolder(path);
  return HasAll(record, {"query-id", "corpus-id", "score"});  // with named columns, as on Hugging Face
}

absl::Status ReadQrels(const InputRecord& record, RowSink& sink) {
  if (IsLine(record)) return ReadJudgmentLine(record, sink);
  const std::string_view query_key = FirstOf(record, {"query-id", "query_id", "qid"});
  const std::string_view document_key = FirstOf(record, {"corpus-id", "corpus_id", "document_id", "docid", "doc_id"});
  ASSIGN_OR_RETURN(std::string query, IdOf(record, query_key.empty() ? "query-id" : query_key));
  ASSIGN_OR_RETURN(std::string document, IdOf(record, document_key.empty() ? "corpus-id" : document_key));
  const std::string_view score_key = FirstOf(record, {"score", "relevance"});
  const std::string_view key = score_key.empty() ? "score" : score_key;
  ASSIGN_OR_RETURN(const float grade, NumberOf(record.Find(key), key, record.untyped));
  ASSIGN_OR_RETURN(const std::string_view source, TextOf(record, "source", false));
  return Judge(std::move(query), std::move(document), Relation::kGraded, grade, source, sink);
}

}  // namespace

const std::vector<RecordKind> kBeirKinds = {{.schema = "beir",
                                             .fields = "corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv",
                                             .matches = IsBeirQrels,
                                             .read = ReadQrels,
                                             .columns = {"query-id", "corpus-id", "score", "_id", "title", "text"}}};

}  // namespace muster
