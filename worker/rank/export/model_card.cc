#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "worker/rank/export/folder_files.h"

namespace muster {
namespace {

std::string Cell(const std::string& text) { return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}}); }

std::string PairTable(const std::string& heading, const std::vector<std::pair<std::string, std::string>>& pairs) {
  if (pairs.empty()) return "";
  std::string text = absl::StrCat("\n## ", heading, "\n\n| | |\n|---|---|\n");
  for (const auto& [name, value] : pairs) absl::StrAppend(&text, "| ", Cell(name), " | ", Cell(value), " |\n");
  return text;
}

std::string ScoreTable(const std::vector<ModelCardScore>& scores) {
  if (scores.empty()) return "";
  std::set<std::string> names;
  for (const ModelCardScore& score : scores) {
    for (const auto& [name, value] : score.metrics) names.insert(name);
  }
  std::string text = "\n## Scores\n\n| model | data |", rule = "\n|---|---|";
  for (const std::string& name : names) {
    absl::StrAppend(&text, " ", name, " |");
    absl::StrAppend(&rule, "---|");
  }
  absl::StrAppend(&text, rule, "\n");
  for (const ModelCardScore& score : scores) {
    absl::StrAppend(&text, "| ", Cell(score.label), " | ", Cell(score.dataset), " |");
    for (const std::string& name : names) {
      const auto found = score.metrics.find(name);
      absl::StrAppend(&text, found == score.metrics.end() ? " |" : absl::StrFormat(" %.4f |", found->second));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string LengthsText(const ModelCard& card) {
  if (card.query_tokens == 0 || card.passage_tokens == 0) return "";
  return absl::StrCat(" (training cut queries to ", card.query_tokens, " and passages to ", card.passage_tokens, ")");
}

std::string PoolingName(PoolingMode mode) {
  switch (mode) {
    case PoolingMode::kCls:
      return "the first token";
    case PoolingMode::kMean:
      return "the mean of the tokens";
    case PoolingMode::kLast:
      return "the last token";
    case PoolingMode::kMax:
      return "the largest value of the tokens";
    case PoolingMode::kMeanSqrtLength:
      return "the sum of the tokens over the square root of their number";
    case PoolingMode::kWeightedMean:
      return "the mean of the tokens, weighted by position";
  }
  return "";
}

}  // namespace

std::string ModelCardText(const EncoderConfig& config, const ExportOptions& options) {
  const ModelCard& card = options.card;
  std::string text = "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\n"
                     "tags:\n- sentence-transformers\n- feature-extraction\n- dense-retrieval\n---\n";
  absl::StrAppend(&text, "\n# ", card.title, "\n\nA dense retriever trained with Muster from ",
                  card.base_model.empty() ? "random weights" : absl::StrCat("`", card.base_model, "`"),
                  ". It maps a text of at most ",
                  config.max_sequence_length, " tokens", LengthsText(card), " to ", config.hidden_size, " numbers: ",
                  PoolingName(config.pooling), config.normalize ? ", normalized to length 1" : "", ".\n");
  absl::StrAppend(&text, "\n```python\nfrom sentence_transformers import SentenceTransformer\n\n"
                         "model = SentenceTransformer(\"PATH_OF_THIS_FOLDER\")\n"
                         "queries = model.encode([\"a question\"], prompt_name=\"query\")\n"
                         "passages = model.encode([\"a passage\"], prompt_name=\"passage\")\n"
                         "scores = model.similarity(queries, passages)\n```\n");
  return text + ScoreTable(card.scores) + PairTable("Data", card.data) + PairTable("Settings", card.settings);
}

}  // namespace muster
