#include "client/report_files.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/stored_file.h"
#include "common/retrieval/metric_name.h"
#include "common/retrieval/stored_run.h"
#include "common/status.h"

namespace muster {
namespace {

template <typename Number>
std::string ShortestText(Number value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

std::string QuotedCell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

absl::Status LacksNumber(const char* kind, uint32_t number, size_t count) {
  return absl::DataLossError(absl::StrCat("the dataset has ", count, " ", kind, ", and the job's results name number ",
                                          number));
}

// An id as TREC's format carries it.
absl::StatusOr<std::string_view> TrecField(const char* kind, const std::vector<std::string>& ids, uint32_t number) {
  if (number >= ids.size()) return LacksNumber(kind, number, ids.size());
  const std::string& id = ids[number];
  const auto is_blank = [](unsigned char c) { return std::isspace(c) != 0; };
  if (!id.empty() && std::none_of(id.begin(), id.end(), is_blank)) return std::string_view(id);
  return absl::FailedPreconditionError(absl::StrCat(
      "the ids of ", kind, " include \"", id, "\", and a run file in TREC's format cannot carry ",
      id.empty() ? "an empty id" : "white space", ". Import the dataset with other ids."));
}

absl::Status WriteRanking(const StoredRanking& ranking, const ReportIds& ids, const std::string& tag, std::ofstream& out) {
  ASSIGN_OR_RETURN(const std::string_view query, TrecField("queries", ids.queries, ranking.query));
  std::string lines;
  for (size_t i = 0; i < ranking.documents.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string_view document, TrecField("documents", ids.documents, ranking.documents[i]));
    lines.append(query).append(" Q0 ").append(document);
    absl::StrAppend(&lines, " ", i + 1, " ", ShortestText(ranking.scores[i]), " ", tag, "\n");
  }
  out.write(lines.data(), static_cast<std::streamsize>(lines.size()));
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> MetricNamesOf(const QueryValues& values) {
  std::vector<std::string> names;
  for (const auto& [name, of_queries] : values.values) names.push_back(name);
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return ComesBefore(a, b); });
  return names;
}

absl::StatusOr<std::string> QueryValuesCsv(const QueryValues& values, const std::optional<ReportIds>& ids) {
  const std::vector<std::string> metrics = MetricNamesOf(values);
  std::string text = ids.has_value() ? "number,query" : "number";
  for (const std::string& metric : metrics) absl::StrAppend(&text, ",", metric);
  text += "\n";
  for (size_t q = 0; q < values.queries.size(); ++q) {
    const uint32_t number = values.queries[q];
    absl::StrAppend(&text, number);
    if (ids.has_value()) {
      if (number >= ids->queries.size()) return LacksNumber("queries", number, ids->queries.size());
      absl::StrAppend(&text, ",", QuotedCell(ids->queries[number]));
    }
    for (const std::string& metric : metrics) absl::StrAppend(&text, ",", ShortestText(values.values.at(metric)[q]));
    text += "\n";
  }
  return text;
}

absl::StatusOr<std::string> FetchStoredRun(BlobClient& blobs, const muster::v1::Job& job) {
  if (job.spec().report().run_depth() == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", job.id(), " (", job.spec().name(), ") has stored no rankings. Set report.run_depth, or measure ",
                     "its model with muster eval --run-depth K."));
  }
  RETURN_IF_ERROR(FetchQueryValues(blobs, job).status());  // says what is the matter with a job without results
  ASSIGN_OR_RETURN(std::optional<std::string> run, ReadStoredFile(blobs, job.step_log_manifest(), kStoredRunFile));
  if (run.has_value()) return *std::move(run);
  return absl::FailedPreconditionError(absl::StrCat("job ", job.id(), " could not store its rankings: muster logs ", job.id(),
                                                    " --rank 0 says why."));
}

absl::Status WriteTrecRun(std::string_view stored, const ReportIds& ids, const std::string& tag, const std::string& file) {
  const std::string aside = absl::StrCat(file, ".partial");
  absl::Cleanup remove = [&aside] {
    std::error_code ignored;
    std::filesystem::remove(aside, ignored);
  };
  std::ofstream out(aside, std::ios::binary | std::ios::trunc);
  RETURN_IF_ERROR(ForEachRanking(stored, [&](const StoredRanking& ranking) { return WriteRanking(ranking, ids, tag, out); }));
  out.close();
  std::error_code error;
  if (out) std::filesystem::rename(aside, file, error);
  if (out && !error) return absl::OkStatus();
  const std::string why = error ? absl::StrCat(": ", error.message()) : ". Is there a folder for it, and room?";
  return absl::InvalidArgumentError(absl::StrCat(file, ": cannot be written", why));
}

}  // namespace muster
