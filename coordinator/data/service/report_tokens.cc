#include "coordinator/data/service/report_tokens.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/spec/job_spec.h"
#include "common/spec/number_ranges.h"
#include "common/status.h"
#include "coordinator/data/plan/permutation.h"

namespace muster {
namespace {

using muster::v1::LengthSummary;

constexpr uint64_t kSampleKey = 1;  // an arbitrary constant: samples are the same at every import

uint32_t Percentile(const std::vector<uint32_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

// `tokens_of`(index) → tokens and bytes of a text.
template <typename TokensOf>
LengthSummary Summarize(uint64_t texts, uint32_t limit, const TokensOf& tokens_of) {
  const uint64_t wanted = std::min(texts, ReportTokens::kMaxTexts);
  const KeyedPermutation order(texts, kSampleKey);
  LengthSummary summary;
  std::vector<uint32_t> lengths;
  uint64_t bytes = 0;
  for (uint64_t position = 0; position < wanted && bytes < ReportTokens::kMaxBytes; ++position) {
    const auto [tokens, size] = tokens_of(static_cast<uint32_t>(order(position)));
    lengths.push_back(tokens);
    bytes += size;
    summary.set_total(summary.total() + tokens);
    summary.set_truncated(summary.truncated() + (tokens > limit));
  }
  std::sort(lengths.begin(), lengths.end());
  summary.set_texts(lengths.size());
  summary.set_all_texts(texts);
  summary.set_median(Percentile(lengths, 0.5));
  summary.set_percentile_95(Percentile(lengths, 0.95));
  summary.set_longest(lengths.empty() ? 0 : lengths.back());
  summary.set_limit(limit);
  return summary;
}

std::string SampleText(const LengthSummary& summary, const char* what) {
  if (summary.texts() == summary.all_texts()) return absl::StrCat("all ", summary.texts(), " ", what);
  return absl::StrCat("a sample of ", summary.texts(), " of ", summary.all_texts(), " ", what);
}

// The lengths for the report: defaults and checks are those of a job.
absl::StatusOr<muster::v1::MaxLength> LengthsOf(const muster::v1::ImportHeader& header) {
  muster::v1::JobSpec spec;
  *spec.mutable_model()->mutable_max_length() = header.max_length();
  RETURN_IF_ERROR(CheckNumbers(spec));
  FillDefaults(spec);
  return spec.model().max_length();
}

}  // namespace

absl::StatusOr<std::optional<ReportTokens>> ReportTokens::Prepare(const DataStores& stores,
                                                                  const muster::v1::ImportHeader& header) {
  if (header.model().empty()) {
    if (!header.has_max_length()) return std::nullopt;
    return absl::InvalidArgumentError("max_length: is a number of a model's tokens. Name the model, too: --model NAME.");
  }
  ReportTokens tokens;
  tokens.model_ = header.model();
  ASSIGN_OR_RETURN(tokens.max_length_, LengthsOf(header));
  const auto model = stores.catalogue->GetModel(header.model());
  if (!model.ok()) return WithContext(model.status(), "model");
  ASSIGN_OR_RETURN(const muster::v1::FileManifest files, ReadManifestBlob(*stores.blobs, model->manifest()));
  ASSIGN_OR_RETURN(tokens.tokenizer_, LoadTokenizer(*stores.blobs, files));
  return tokens;
}

void ReportTokens::Count(const Dataset& dataset, muster::v1::ImportReport& report) const {
  std::vector<uint32_t> ids;
  uint64_t failed = 0;
  absl::Status first_error;
  const size_t special = tokenizer_->prefix().size() + tokenizer_->suffix().size();
  const auto tokens_of = [&](std::string_view text) {
    ids.clear();
    if (const absl::Status status = tokenizer_->Encode(text, ids); !status.ok() && failed++ == 0) first_error = status;
    return std::pair(static_cast<uint32_t>(ids.size() + special), text.size());
  };
  *report.mutable_query_tokens() = Summarize(dataset.queries(), max_length_.query(), [&](uint32_t query) {
    return tokens_of(dataset.query_text(query));
  });
  *report.mutable_passage_tokens() = Summarize(dataset.passages(), max_length_.passage(), [&](uint32_t passage) {
    return tokens_of(PassageText(dataset.title(passage), dataset.body(passage)));
  });
  report.add_notes(absl::StrCat("tokens are counted with the tokenizer of model ", model_, ", without prompts, on ",
                                SampleText(report.query_tokens(), "queries"), " and ",
                                SampleText(report.passage_tokens(), "unique passages")));
  if (failed > 0) {
    report.add_notes(absl::StrCat("the tokenizer of model ", model_, " cannot read ", failed,
                                  " texts, of which only the tokens before the fault are counted: jobs with both fail. The "
                                  "first: ", first_error.message()));
  }
}

}  // namespace muster
