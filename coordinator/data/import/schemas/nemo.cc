// NeMo: query or question, pos_doc, neg_doc: texts, objects with a text, or objects with the id of a document.
// Source: https://docs.nvidia.com/nemo/automodel, "Retrieval Dataset".
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;

absl::Status ReadOne(InputRecord::Value item, std::string_view key, Relation relation, CanonicalRow& row) {
  CanonicalPassage& passage = row.passages.emplace_back();
  passage.relation = relation;
  if (item.kind() == Kind::kText) {
    passage.text = item.text();
    return absl::OkStatus();
  }
  const InputRecord::Value text = item.kind() == Kind::kObject ? item.Find("text") : InputRecord::Value();
  const InputRecord::Value id = item.kind() == Kind::kObject ? item.Find("id") : InputRecord::Value();
  if (!text && !id) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must be texts, or objects with \"id\" or \"text\", found ",
                                                   ToAbsl(KindOf(item))));
  }
  if (id) {
    ASSIGN_OR_RETURN(passage.id, IdOf(id, "id"));
  }
  passage.has_text = static_cast<bool>(text);
  if (text && text.kind() != Kind::kText) {
    return absl::InvalidArgumentError(absl::StrCat("\"text\" must be a string, found ", ToAbsl(KindOf(text))));
  }
  if (text) passage.text = text.text();
  return absl::OkStatus();
}

absl::Status ReadDocuments(const InputRecord& record, std::string_view key, bool required, Relation relation,
                           CanonicalRow& row) {
  const InputRecord::Value value = record.Find(key);
  if (IsAbsent(value) && (!required || value)) return absl::OkStatus();  // some tools save an empty list as null
  if (!value) return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must be texts, or objects with \"id\" or \"text\", found nothing"));
  if (record.untyped) {
    ASSIGN_OR_RETURN(std::vector<std::string> texts, TextsOf(record, key, required));
    AddTexts(std::move(texts), relation, row);
    return absl::OkStatus();
  }
  if (value.kind() != Kind::kList) return ReadOne(value, key, relation, row);
  for (const InputRecord::Value item : value) RETURN_IF_ERROR(ReadOne(item, key, relation, row));
  return absl::OkStatus();
}

absl::Status ReadNemoRow(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  RETURN_IF_ERROR(ReadQuery(record, {"query", "question"}, row));
  RETURN_IF_ERROR(ReadDocuments(record, "pos_doc", true, Relation::kGraded, row));
  RETURN_IF_ERROR(ReadDocuments(record, "neg_doc", false, Relation::kNegative, row));
  return sink.Row(row);
}

}  // namespace

const std::vector<RecordKind> kNemoKinds = {
    {.schema = "nemo",
     .fields = "query or question, pos_doc, neg_doc",
     .matches = [](std::string_view, const InputRecord& record) { return record.Has("pos_doc"); },
     .read = ReadNemoRow,
     .columns = {"query", "pos_doc", "neg_doc"}}};

}  // namespace muster
