// FlagEmbedding: query, pos [text], neg [text], pos_scores, neg_scores, prompt; here also source.
// Source: https://github.com/FlagOpen/FlagEmbedding, examples/finetune/embedder, "Data format".
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

absl::Status CheckScores(absl::string_view scores_key, size_t scores, absl::string_view texts_key, size_t texts) {
  if (scores == 0 || scores == texts) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("\"", scores_key, "\" must have as many entries as \"", texts_key,
                                                 "\", found ", scores, " and ", texts));
}

absl::Status ReadFlagRow(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  // FlagEmbedding has no query_id, so a key of that name is not read.
  ASSIGN_OR_RETURN(const std::string_view query, TextOf(record, "query"));
  row.query = query;
  RETURN_IF_ERROR(ReadSource(record, row));
  ASSIGN_OR_RETURN(std::vector<std::string> positives, TextsOf(record, "pos", true));
  ASSIGN_OR_RETURN(std::vector<std::string> negatives, TextsOf(record, "neg", false));
  ASSIGN_OR_RETURN(const std::vector<float> positive_scores, NumbersOf(record, "pos_scores"));
  ASSIGN_OR_RETURN(const std::vector<float> negative_scores, NumbersOf(record, "neg_scores"));
  RETURN_IF_ERROR(CheckScores("pos_scores", positive_scores.size(), "pos", positives.size()));
  RETURN_IF_ERROR(CheckScores("neg_scores", negative_scores.size(), "neg", negatives.size()));
  ASSIGN_OR_RETURN(const std::string_view prompt, TextOf(record, "prompt", false));
  AddTexts(std::move(positives), Relation::kGraded, row);
  for (size_t i = 0; i < positive_scores.size(); ++i) row.passages[i].grade = positive_scores[i];
  AddTexts(std::move(negatives), Relation::kNegative, row);
  // Scores of positives alone are grades. Of both, they are what a teacher said.
  const bool taught = !positive_scores.empty() && !negative_scores.empty();
  for (size_t i = 0; taught && i < row.passages.size(); ++i) {
    row.passages[i].score =
        i < positive_scores.size() ? positive_scores[i] : negative_scores[i - positive_scores.size()];
  }
  if (std::any_of(positive_scores.begin(), positive_scores.end(), [](float score) { return score <= 0; })) {
    sink.Leave(LeftOut::kUngradedScores);
  }
  if (!negative_scores.empty()) sink.Leave(taught ? LeftOut::kTeacherScores : LeftOut::kNegativeScores);
  if (!prompt.empty()) sink.Leave(LeftOut::kPrompt);
  return sink.Row(row);
}

}  // namespace

const std::vector<RecordKind> kFlagEmbeddingKinds = {
    {.schema = "flagembedding",
     .fields = "query, pos, neg",
     .matches =
         [](std::string_view, const InputRecord& record) {
           return HasAll(record, {"query", "pos"});
         },
     .read = ReadFlagRow,
     .columns = {"query", "pos", "neg", "pos_scores", "neg_scores", "prompt", "source"}}};

}  // namespace muster
