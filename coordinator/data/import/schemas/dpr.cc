// The format of DPR's Natural Questions: question, answers, positive_ctxs, negative_ctxs, hard_negative_ctxs.
// Source: https://github.com/facebookresearch/DPR, "Retriever input data format".
#include "common/status.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

absl::Status ReadDprRow(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  RETURN_IF_ERROR(ReadQuery(record, {"question"}, row));
  const PassageKeys keys = {.text = "text", .ids = {"passage_id", "psg_id"}};
  RETURN_IF_ERROR(ReadPassages(record, "positive_ctxs", true, keys, Relation::kGraded, row));
  for (const std::string_view key : {"negative_ctxs", "hard_negative_ctxs"}) {
    RETURN_IF_ERROR(ReadPassages(record, key, false, keys, Relation::kNegative, row));
  }
  if (record.Find("answers")) sink.Leave(LeftOut::kAnswers);
  return sink.Row(row);
}

}  // namespace

const std::vector<RecordKind> kDprKinds = {
    {.schema = "dpr",
     .fields = "question, positive_ctxs, negative_ctxs, hard_negative_ctxs",
     .matches = [](std::string_view, const InputRecord& record) { return record.Has("positive_ctxs"); },
     .read = ReadDprRow,
     .columns = {"question", "positive_ctxs", "negative_ctxs", "hard_negative_ctxs"}}};

}  // namespace muster
