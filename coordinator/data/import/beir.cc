// BEIR: corpus.jsonl {_id, title, text}, queries.jsonl {_id, text}, qrels/SPLIT.tsv (query-id, corpus-id, score).
// Source: https://github.com/beir-cellar/beir/wiki/Load-your-custom-dataset
#include <cmath>
#include <filesystem>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/json_record.h"
#include "coordinator/data/import/schema.h"

namespace muster {
namespace {

enum class Part { kNone, kCorpus, kQueries, kQrels };

Part PartOf(std::string_view path) {
  const std::filesystem::path name(path);
  if (name.filename() == "corpus.jsonl") return Part::kCorpus;
  if (name.filename() == "queries.jsonl") return Part::kQueries;
  if (name.extension() == ".tsv" && name.parent_path().filename() == "qrels") return Part::kQrels;
  return Part::kNone;
}

// A line of a qrels file; it waits until corpus and queries were read, since files come in any order.
struct Qrel {
  uint64_t line;
  std::string query, document;
  float score;
};

class BeirReader final : public SchemaReader {
 public:
  explicit BeirReader(ImportContext context) : context_(std::move(context)) {}

  bool Takes(std::string_view path) const override { return IsBeirPath(path); }

  // The name of a qrels file is its split's name.
  absl::Status Begin(const std::string& path, const std::string& split) override {
    if (PartOf(path) != Part::kQrels) {
      if (split.empty()) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": holds no judgments, so it has no split. The qrels files name the splits: qrels/SPLIT.tsv."));
    }
    const std::string named = SplitOf(path), given = split.empty() ? context_.split : split;
    if (given.empty() || given == named) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(path, ": is split ", named, " by its name, and the given split is ",
                                                   given, ". Leave out --split, or rename the file."));
  }

  absl::Status Record(const std::string& path, uint64_t line, std::string_view text) override {
    switch (PartOf(path)) {
      case Part::kNone: return absl::OkStatus();
      case Part::kCorpus: has_corpus_ = true; return Keep(path, line, Document(text));
      case Part::kQueries: has_queries_ = true; return Keep(path, line, Query(text));
      case Part::kQrels: return Keep(path, line, QrelLine(qrels_[path], line, text));
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    if (!has_corpus_ && context_.base == nullptr) return Missing("corpus.jsonl");
    if (!has_queries_ && context_.base == nullptr) return Missing("queries.jsonl");
    if (qrels_.empty()) return Missing("qrels/SPLIT.tsv");
    ASSIGN_OR_RETURN(source_, context_.writer.AddSource(context_.source));
    for (const auto& [path, lines] : qrels_) RETURN_IF_ERROR(Judge(path, lines));
    return absl::OkStatus();
  }

 private:
  static std::string SplitOf(const std::string& path) { return std::filesystem::path(path).stem().string(); }

  static absl::Status Missing(absl::string_view file) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": there is no such file, or it is empty. A BEIR folder has corpus.jsonl, queries.jsonl and "
        "qrels/SPLIT.tsv."));
  }

  // Bad records are INVALID_ARGUMENT here and may be tolerated; other errors end the import.
  absl::Status Keep(const std::string& path, uint64_t line, const absl::Status& status) {
    return absl::IsInvalidArgument(status) ? context_.bad.Add(path, line, ToStd(status.message())) : status;
  }

  absl::Status Document(std::string_view text) {
    ASSIGN_OR_RETURN(const nlohmann::json record, ParseRecord(text));
    ASSIGN_OR_RETURN(const std::string id, IdOf(record, "_id"));
    ASSIGN_OR_RETURN(const std::string title, TextOf(record, "title", false));
    ASSIGN_OR_RETURN(const std::string body, TextOf(record, "text"));
    if (documents_.contains(id)) return NotNew(id);
    ASSIGN_OR_RETURN(const uint32_t passage, context_.writer.AddPassage(title, body));
    ASSIGN_OR_RETURN(documents_[id], context_.writer.AddDocument(id, passage));
    return absl::OkStatus();
  }

  absl::Status Query(std::string_view text) {
    ASSIGN_OR_RETURN(const nlohmann::json record, ParseRecord(text));
    ASSIGN_OR_RETURN(const std::string id, IdOf(record, "_id"));
    ASSIGN_OR_RETURN(const std::string query, TextOf(record, "text"));
    if (queries_.contains(id)) return NotNew(id);
    ASSIGN_OR_RETURN(queries_[id], context_.writer.AddQuery(id, query));
    return absl::OkStatus();
  }

  static absl::Status NotNew(const std::string& id) {
    return absl::InvalidArgumentError(absl::StrCat("expected a new \"_id\", \"", id, "\" stands further up already"));
  }

  static absl::Status QrelLine(std::vector<Qrel>& lines, uint64_t line, std::string_view text) {
    const std::vector<absl::string_view> fields = absl::StrSplit(ToAbsl(text), '\t');
    if (fields.size() != 3) {
      return absl::InvalidArgumentError(absl::StrCat(
          "expected 3 tab-separated fields (query-id, corpus-id, score), found ", fields.size()));
    }
    float score = 0;
    if (!absl::SimpleAtof(fields[2], &score)) {
      if (line == 1) return absl::OkStatus();  // the header
      return absl::InvalidArgumentError(absl::StrCat("expected a number as score, found \"", fields[2], "\""));
    }
    if (!std::isfinite(score) || score < 0) {
      return absl::InvalidArgumentError(absl::StrCat("expected a finite score of at least 0, found ", fields[2]));
    }
    lines.push_back({line, std::string(fields[0]), std::string(fields[1]), score});
    return absl::OkStatus();
  }

  absl::Status Judge(const std::string& path, const std::vector<Qrel>& lines) {
    const std::string split = SplitOf(path);
    if (!IsValidName(split)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": the file's name is the split's name: [a-z0-9._-], at most 63 characters. Rename it."));
    }
    absl::flat_hash_map<std::pair<uint32_t, uint32_t>, float> scores;
    for (const Qrel& qrel : lines) {
      RETURN_IF_ERROR(Keep(path, qrel.line, JudgeOne(split, qrel, scores)));
    }
    return absl::OkStatus();
  }

  absl::Status JudgeOne(const std::string& split, const Qrel& qrel,
                        absl::flat_hash_map<std::pair<uint32_t, uint32_t>, float>& scores) {
    if (context_.base != nullptr) RETURN_IF_ERROR(CopyFromBase(qrel));
    const auto query = queries_.find(qrel.query);
    if (query == queries_.end()) return Unknown("query", qrel.query, "queries.jsonl");
    const auto document = documents_.find(qrel.document);
    if (document == documents_.end()) return Unknown("document", qrel.document, "corpus.jsonl");
    const auto [before, is_new] = scores.try_emplace({query->second, document->second}, qrel.score);
    if (!is_new && before->second != qrel.score) {
      return absl::InvalidArgumentError(absl::StrCat("expected one score of query \"", qrel.query, "\" and document \"",
                                                     qrel.document, "\", found ", qrel.score, " after ",
                                                     before->second));
    }
    if (is_new) {
      context_.writer.AddJudgment(split, query->second,
                                  {.document = document->second,
                                   .passage = context_.writer.passage_of(document->second),
                                   .grade = qrel.score,
                                   .source = source_});
    }
    return absl::OkStatus();
  }

  // What the judgment names and the files do not bring, where the dataset has it.
  absl::Status CopyFromBase(const Qrel& qrel) {
    if (!queries_.contains(qrel.query)) {
      ASSIGN_OR_RETURN(const std::optional<uint32_t> query, context_.base->CopyQuery(qrel.query, context_.writer));
      if (query.has_value()) queries_[qrel.query] = *query;
    }
    if (!documents_.contains(qrel.document)) {
      ASSIGN_OR_RETURN(const std::optional<uint32_t> document,
                       context_.base->CopyDocument(qrel.document, context_.writer));
      if (document.has_value()) documents_[qrel.document] = *document;
    }
    return absl::OkStatus();
  }

  absl::Status Unknown(absl::string_view kind, absl::string_view id, absl::string_view file) {
    return absl::InvalidArgumentError(absl::StrCat("expected the id of a ", kind, " in ", file,
                                                   context_.base == nullptr ? "" : " or in the dataset", ", found \"",
                                                   id, "\""));
  }

  ImportContext context_;
  bool has_corpus_ = false, has_queries_ = false;
  uint16_t source_ = 0;
  absl::flat_hash_map<std::string, uint32_t> documents_, queries_;
  std::map<std::string, std::vector<Qrel>> qrels_;  // by path
};

}  // namespace

bool IsBeirPath(std::string_view path) { return PartOf(path) != Part::kNone; }

std::unique_ptr<SchemaReader> MakeBeirReader(ImportContext context) {
  return std::make_unique<BeirReader>(std::move(context));
}

}  // namespace muster
