// TREC's judgments: "query 0 document grade", by blanks or tabs; with tables of queries and documents with ids.
// Source: https://trec.nist.gov/data/qrels_eng/
#include "coordinator/data/import/schemas/fields.h"

namespace muster {

const std::vector<RecordKind> kTrecKinds = {
    {.schema = "trec",
     .fields = "lines \"query 0 document grade\"",
     .matches = [](std::string_view, const InputRecord& record) { return IsLine(record) && IsTrecLine(record.root().text()); },
     .read = ReadJudgmentLine}};

}  // namespace muster
