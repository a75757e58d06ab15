// The files of MS MARCO as distributed: collection.tsv (pid, passage), queries.*.tsv (qid, query), qrels.*.tsv (qid 0
// pid grade), and triples of texts or of ids. Tab-separated lines without a header.
// Source: https://microsoft.github.io/msmarco/Datasets.html
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

std::string NameOf(std::string_view path) { return std::filesystem::path(path).filename().string(); }

bool IsCollection(std::string_view path, const InputRecord& record) {
  return IsLine(record) && NameOf(path).starts_with("collection");
}
bool IsQueries(std::string_view path, const InputRecord& record) {
  return IsLine(record) && NameOf(path).starts_with("queries");
}
bool IsQrelsFile(std::string_view path, const InputRecord& record) {
  return IsLine(record) && NameOf(path).starts_with("qrels") && !IsInQrelsFolder(path);
}

// Fields of a line, `count` of them.
absl::StatusOr<std::vector<std::string>> Fields(const InputRecord& record, size_t count, absl::string_view names) {
  std::vector<std::string> fields = absl::StrSplit(ToAbsl(record.root().text()), '\t');
  if (fields.size() == count) return fields;
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", count, " tab-separated fields (", names, "), found ", fields.size()));
}

absl::Status ReadCollection(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(const std::vector<std::string> fields, Fields(record, 2, "pid, passage"));
  return sink.Document(fields[0], {}, fields[1]);
}

absl::Status ReadQueries(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(const std::vector<std::string> fields, Fields(record, 2, "qid, query"));
  return sink.Query(fields[0], fields[1]);
}

bool IsTriples(const InputRecord& record, bool by_id) {
  if (!IsLine(record)) return false;
  const std::vector<absl::string_view> fields = absl::StrSplit(ToAbsl(record.root().text()), '\t');
  int64_t id = 0;
  for (const absl::string_view field : fields) {
    if (absl::SimpleAtoi(field, &id) != by_id) return false;
  }
  return fields.size() == 3;
}
bool IsTriplesFile(std::string_view path) { return NameOf(path).find("triples") != std::string::npos; }

absl::Status ReadTriple(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(std::vector<std::string> fields, Fields(record, 3, "query, positive, negative"));
  CanonicalRow row;
  row.query = std::move(fields[0]);
  AddTexts({std::move(fields[1])}, Relation::kGraded, row);
  AddTexts({std::move(fields[2])}, Relation::kNegative, row);
  return sink.Row(row);
}

absl::Status ReadTripleOfIds(const InputRecord& record, RowSink& sink) {
  ASSIGN_OR_RETURN(std::vector<std::string> fields, Fields(record, 3, "qid, positive pid, negative pid"));
  for (const std::string& field : fields) {
    if (field.empty()) return absl::InvalidArgumentError("expected three ids, found an empty field");
  }
  CanonicalRow row;
  row.query_id = std::move(fields[0]);
  row.has_query = false;
  AddIds({std::move(fields[1])}, Relation::kGraded, row);
  AddIds({std::move(fields[2])}, Relation::kNegative, row);
  return sink.Row(row);
}

}  // namespace

const std::vector<RecordKind> kMsMarcoKinds = {
    {.schema = "msmarco",
     .fields = "collection.tsv, queries.*.tsv, qrels.*.tsv, *triples*.tsv",
     .matches = IsQrelsFile,
     .read = ReadJudgmentLine},
    {.schema = "msmarco",
     .fields = "pid, passage",
     .holds = RecordKind::Holds::kDocuments,
     .matches = IsCollection,
     .read = ReadCollection},
    {.schema = "msmarco",
     .fields = "qid, query",
     .holds = RecordKind::Holds::kQueries,
     .matches = IsQueries,
     .read = ReadQueries},
    {.schema = "msmarco",
     .fields = "qid, positive pid, negative pid",
     .matches = [](std::string_view path,
                   const InputRecord& record) { return IsTriplesFile(path) && IsTriples(record, true); },
     .read = ReadTripleOfIds},
    {.schema = "msmarco",
     .fields = "query, positive, negative",
     .matches = [](std::string_view path, const InputRecord& record) { return IsTriplesFile(path) && IsLine(record); },
     .read = ReadTriple}};

}  // namespace muster
