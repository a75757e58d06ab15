// ExportBeir: queries.jsonl {_id, text}, qrels/SPLIT.tsv, corpus.jsonl {_id, title, text}. The largest file comes last, so that
// a client that needs only the ids of queries can stop before it.
#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/view.h"
#include "coordinator/data/store/dataset_export.h"
#include "coordinator/data/store/export_writer.h"

namespace muster {
namespace {

struct LostInBeir {
  uint64_t without_grade = 0;
  uint64_t other_sources = 0;  // judgments of a pair that another source judged first
};

absl::Status CheckField(const char* kind, std::string_view id) {
  if (id.find_first_of("\t\r\n") == std::string_view::npos) return absl::OkStatus();
  const std::string shown = nlohmann::json(std::string(id)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return absl::FailedPreconditionError(absl::StrCat("export: the id of ", kind, " ", shown,
                                                    " holds a tab or a line end, which a BEIR qrels file cannot carry. "
                                                    "Use --format jsonl."));
}

absl::Status WriteQrels(const Dataset& dataset, uint32_t split, ExportWriter& out, LostInBeir& lost) {
  RETURN_IF_ERROR(out.Begin(absl::StrCat("qrels/", dataset.splits()[split], ".tsv")));
  RETURN_IF_ERROR(out.Line("query-id\tcorpus-id\tscore"));
  absl::flat_hash_map<uint32_t, size_t> row_of;  // document → row
  std::vector<std::pair<uint32_t, float>> rows;
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    row_of.clear();
    rows.clear();
    for (const Judgment& judgment : dataset.judgments(split, query)) {
      if (judgment.hard_negative != 0) {
        ++lost.without_grade;
        continue;
      }
      const auto [known, is_new] = row_of.try_emplace(judgment.document, rows.size());
      if (is_new) {
        rows.emplace_back(judgment.document, judgment.grade);
      } else {
        ++lost.other_sources;
        rows[known->second].second = std::max(rows[known->second].second, judgment.grade);
      }
    }
    if (!rows.empty()) RETURN_IF_ERROR(CheckField("query", dataset.query_id(query)));
    for (const auto& [document, grade] : rows) {
      RETURN_IF_ERROR(CheckField("document", dataset.document_id(document)));
      RETURN_IF_ERROR(out.Line(absl::StrCat(ToAbsl(dataset.query_id(query)), "\t",
                                            ToAbsl(dataset.document_id(document)), "\t", GradeText(grade))));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExportBeir(const Dataset& dataset, const ExportSink& sink, std::vector<std::string>& notes) {
  ExportWriter out(sink);
  RETURN_IF_ERROR(out.Begin("queries.jsonl"));
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    RETURN_IF_ERROR(out.Json({{"_id", dataset.query_id(query)}, {"text", dataset.query_text(query)}}));
  }
  LostInBeir lost;
  for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
    RETURN_IF_ERROR(WriteQrels(dataset, split, out, lost));
  }
  RETURN_IF_ERROR(out.Begin("corpus.jsonl"));
  for (uint32_t document = 0; document < dataset.documents(); ++document) {
    const uint32_t passage = dataset.passage_of(document);
    RETURN_IF_ERROR(out.Json({{"_id", dataset.document_id(document)},
                              {"title", dataset.title(passage)},
                              {"text", dataset.body(passage)}}));
  }
  RETURN_IF_ERROR(out.Flush());
  if (lost.without_grade > 0) {
    notes.push_back(absl::StrCat("left out: ", lost.without_grade,
                                 " judgments without a grade, as hard negatives are; BEIR has none. --format jsonl carries "
                                 "hard negatives"));
  }
  if (const uint64_t scores = CountScores(dataset); scores > 0) {
    notes.push_back(absl::StrCat("left out: ", scores, " scores of a teacher; no format carries them"));
  }
  if (lost.other_sources > 0) {
    notes.push_back(absl::StrCat("left out: ", lost.other_sources,
                                 " judgments of pairs that another source judged too; the highest grade stays"));
  }
  if (dataset.sources().size() > 1) {
    notes.push_back(absl::StrCat("not carried: which of the ", dataset.sources().size(),
                                 " sources a judgment is from; BEIR has no place for it. --format jsonl carries it"));
  }
  return absl::OkStatus();
}

}  // namespace muster
