// FlagEmbedding: JSONL with query, pos [text], neg [text], pos_scores, neg_scores, prompt; here also source.
// Rows carry no ids: rows of one query text are one query.
// Source: https://github.com/FlagOpen/FlagEmbedding, examples/finetune/embedder, "Data format".
#include <algorithm>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/split_name.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/json_record.h"
#include "coordinator/data/import/schema.h"

namespace muster {
namespace {

struct Row {
  std::string query, source;
  std::vector<std::string> positives, negatives;
  std::vector<float> positive_scores, negative_scores;  // empty: none were given
  bool has_prompt = false;
};

absl::Status CheckScores(absl::string_view scores_key, size_t scores, absl::string_view texts_key, size_t texts) {
  if (scores == 0 || scores == texts) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("\"", scores_key, "\" must have as many entries as \"", texts_key,
                                                 "\", found ", scores, " and ", texts));
}

absl::StatusOr<Row> ParseRow(std::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json record, ParseRecord(text));
  Row row;
  ASSIGN_OR_RETURN(row.query, TextOf(record, "query"));
  ASSIGN_OR_RETURN(row.positives, TextsOf(record, "pos", true));
  if (row.positives.empty()) return absl::InvalidArgumentError("\"pos\" must hold at least one text, found none");
  ASSIGN_OR_RETURN(row.negatives, TextsOf(record, "neg", false));
  ASSIGN_OR_RETURN(row.positive_scores, NumbersOf(record, "pos_scores"));
  ASSIGN_OR_RETURN(row.negative_scores, NumbersOf(record, "neg_scores"));
  RETURN_IF_ERROR(CheckScores("pos_scores", row.positive_scores.size(), "pos", row.positives.size()));
  RETURN_IF_ERROR(CheckScores("neg_scores", row.negative_scores.size(), "neg", row.negatives.size()));
  ASSIGN_OR_RETURN(row.source, TextOf(record, "source", false));
  ASSIGN_OR_RETURN(const std::string prompt, TextOf(record, "prompt", false));
  row.has_prompt = !prompt.empty();
  return row;
}

class FlagEmbeddingReader final : public SchemaReader {
 public:
  explicit FlagEmbeddingReader(ImportContext context) : context_(std::move(context)), splits_(context_.split) {}

  // A named schema counts whatever the file is called.
  bool Takes(std::string_view path) const override { return context_.is_named || IsJsonLinesPath(path); }

  absl::Status Begin(const std::string& path, const std::string& split) override {
    const absl::StatusOr<SplitAssignment::Assigned> assigned = splits_.Add(path, split);
    if (!assigned.ok()) return assigned.status();
    split_ = assigned->split;
    ++file_;
    named_ = nullptr;
    if (!assigned->by_name) return absl::OkStatus();
    named_ = &named_files_[split_];
    ++named_->files;
    if (named_->paths.size() < kShownPaths) named_->paths.push_back(path);
    return absl::OkStatus();
  }

  absl::Status Record(const std::string& path, uint64_t line, std::string_view text) override {
    const absl::StatusOr<Row> row = ParseRow(text);
    if (!row.ok()) return context_.bad.Add(path, line, ToStd(row.status().message()));
    return Add(*row);
  }

  absl::Status Finish() override {
    for (const auto& [split, named] : named_files_) {
      context_.notes.push_back(
          absl::StrCat(absl::StrJoin(named.paths, ", "),
                       named.files > kShownPaths ? absl::StrCat(", … (", named.files, " files)") : "", " → split ",
                       split, " (", named.queries, named.queries == 1 ? " query)" : " queries)"));
    }
    if (ungraded_rows_ > 0) {
      // One row whose scores are no grades shows that the file's scores are none.
      for (auto& [split, edges] : context_.writer.edges()) {
        for (JudgmentEdge& edge : edges) edge.judgment.grade = 1;
      }
      context_.notes.push_back(absl::StrCat("pos_scores: left out, since ", ungraded_rows_,
                                            " rows hold scores that are not above 0; every positive has grade 1"));
    }
    if (negative_scores_rows_ > 0) {
      context_.notes.push_back(absl::StrCat("neg_scores: left out (", negative_scores_rows_, " rows)"));
    }
    if (prompt_rows_ > 0) {
      context_.notes.push_back(
          absl::StrCat("prompt: left out (", prompt_rows_, " rows); a job names its own in model.prompts"));
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kShownPaths = 3;
  // The files whose names decided their split.
  struct NamedFiles {
    std::vector<std::string> paths;  // the first few
    size_t files = 0;
    uint64_t queries = 0;  // of each file; one that stands in two files counts twice
  };

  absl::Status Add(const Row& row) {
    ASSIGN_OR_RETURN(const uint16_t source,
                     context_.writer.AddSource(row.source.empty() ? context_.source : row.source));
    ASSIGN_OR_RETURN(const uint32_t query, QueryOf(row.query));
    if (last_file_[query] != file_ && named_ != nullptr) ++named_->queries;
    last_file_[query] = file_;
    for (size_t i = 0; i < row.positives.size(); ++i) {
      const float grade = row.positive_scores.empty() ? 1.0f : row.positive_scores[i];
      RETURN_IF_ERROR(Judge(query, row.positives[i], {.grade = grade, .source = source}));
    }
    for (const std::string& negative : row.negatives) {
      RETURN_IF_ERROR(Judge(query, negative, {.source = source, .hard_negative = 1}));
    }
    const auto& scores = row.positive_scores;
    ungraded_rows_ += std::any_of(scores.begin(), scores.end(), [](float score) { return score <= 0; });
    negative_scores_rows_ += !row.negative_scores.empty();
    prompt_rows_ += row.has_prompt;
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> QueryOf(const std::string& text) {
    const auto [found, is_new] = queries_.try_emplace(NormaliseText(text), context_.writer.queries());
    if (!is_new) return found->second;
    last_file_.push_back(0);
    return context_.writer.AddQuery(absl::StrCat("q", found->second + 1), text);
  }

  // A passage is a document of its own.
  absl::Status Judge(uint32_t query, const std::string& text, Judgment judgment) {
    const uint32_t known = context_.writer.passages();
    ASSIGN_OR_RETURN(judgment.passage, context_.writer.AddPassage("", text));
    judgment.document = judgment.passage;
    if (judgment.passage == known) {
      RETURN_IF_ERROR(context_.writer.AddDocument(absl::StrCat("p", known + 1), judgment.passage).status());
    }
    context_.writer.AddJudgment(split_, query, judgment);
    return absl::OkStatus();
  }

  ImportContext context_;
  SplitAssignment splits_;
  std::string split_;                                   // of the file that is read now
  uint32_t file_ = 0;                                   // its number, from 1
  NamedFiles* named_ = nullptr;                         // null: its name did not decide its split
  std::map<std::string, NamedFiles> named_files_;       // by split
  std::vector<uint32_t> last_file_;                     // by query: the file that had it last
  absl::flat_hash_map<std::string, uint32_t> queries_;  // by normal form
  uint64_t ungraded_rows_ = 0, negative_scores_rows_ = 0, prompt_rows_ = 0;
};

}  // namespace

bool IsJsonLinesPath(std::string_view path) {
  return absl::EndsWith(ToAbsl(path), ".jsonl") || absl::EndsWith(ToAbsl(path), ".json");
}

std::unique_ptr<SchemaReader> MakeFlagEmbeddingReader(ImportContext context) {
  return std::make_unique<FlagEmbeddingReader>(std::move(context));
}

}  // namespace muster
