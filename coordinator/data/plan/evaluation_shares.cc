// What the ranks of an evaluation read (StreamEvaluationShares of share_source.h).
#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/data/plan/assign_sequences.h"
#include "coordinator/data/plan/sequences.h"
#include "coordinator/data/plan/share_source.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;
using muster::internal::v1::StreamEvaluationResponse;

constexpr uint32_t kMaxMicroBatchTokens = 4 << 20;  // 16 MiB of ids

// Documents numbered in descending order of the bytes of their ids.
struct Numbering {
  std::vector<uint32_t> documents;  // number → document of the dataset
  std::vector<uint32_t> numbers;    // document → number
  std::vector<uint32_t> passages;   // number → passage
  std::vector<uint32_t> targets;  // number → smallest number with the same text, which is encoded instead
};

Numbering NumberDocuments(const Dataset& dataset) {
  Numbering result;
  const uint32_t count = dataset.documents();
  result.documents.resize(count);
  std::iota(result.documents.begin(), result.documents.end(), 0);
  std::ranges::sort(result.documents,
                    [&](uint32_t a, uint32_t b) { return dataset.document_id(a) > dataset.document_id(b); });
  result.numbers.resize(count);
  result.passages.resize(count);
  result.targets.resize(count);
  std::vector<uint32_t> first(dataset.passages(), UINT32_MAX);
  for (uint32_t number = 0; number < count; ++number) {
    const uint32_t document = result.documents[number];
    const uint32_t passage = dataset.passage_of(document);
    result.numbers[document] = number;
    result.passages[number] = passage;
    if (first[passage] == UINT32_MAX) first[passage] = number;
    result.targets[number] = first[passage];
  }
  return result;
}

bool IsJudged(const Judgment& judgment) { return judgment.hard_negative == 0; }

void AddJudgments(const Dataset& dataset, uint32_t split, const std::vector<uint32_t>& queries,
                  const Numbering& numbering, EvaluationHeader& header) {
  header.add_judged_offsets(0);
  for (const uint32_t query : queries) {
    std::map<uint32_t, float> grades;  // by number; of several sources the highest grade counts
    for (const Judgment& judgment : dataset.judgments(split, query)) {
      if (!IsJudged(judgment)) continue;
      const auto [found, is_new] = grades.try_emplace(numbering.numbers[judgment.document], judgment.grade);
      if (!is_new) found->second = std::max(found->second, judgment.grade);
    }
    for (const auto& [number, grade] : grades) {
      header.add_judged_documents(number);
      header.add_judged_grades(grade);
    }
    header.add_judged_offsets(static_cast<uint32_t>(header.judged_documents_size()));
  }
}

// Each query whose id is a document's, with that document, in order of the queries; then the end mark.
void AddIdenticalIds(const Dataset& dataset, const std::vector<uint32_t>& queries, const Numbering& numbering,
                     EvaluationHeader& header) {
  for (uint32_t i = 0; i < queries.size(); ++i) {
    const std::string_view id = dataset.query_id(queries[i]);
    // Numbers are in descending order of ids.
    const auto found = std::ranges::lower_bound(numbering.documents, id, std::greater<>(),
                                                [&](uint32_t document) { return dataset.document_id(document); });
    if (found == numbering.documents.end() || dataset.document_id(*found) != id) continue;
    header.add_identical_id_queries(i);
    header.add_identical_id_documents(static_cast<uint32_t>(found - numbering.documents.begin()));
  }
  header.add_identical_id_queries(header.query_count());
  header.add_identical_id_documents(header.document_count());
}

}  // namespace

absl::Status StreamEvaluationShares(const Dataset& dataset, uint32_t split, const TokenStore& tokens,
                                    const muster::v1::JobSpec& spec,
    const muster::v1::ResolvedJob& resolved, uint32_t rank, uint32_t world_size,
                                    const std::function<absl::Status(const StreamEvaluationResponse&)>& send) {
  if (rank >= world_size) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", rank, " of a world of ", world_size));
  }
  if (split >= dataset.splits().size()) {
    return absl::InvalidArgumentError(absl::StrCat("split ", split, " of ", dataset.splits().size()));
  }
  if (tokens.dataset_digest() != dataset.digest()) {
    return absl::InternalError("the token store belongs to another dataset");
  }
  ASSIGN_OR_RETURN(const Sequences sequences, Sequences::Create(tokens, spec.model(), resolved));
  const Numbering numbering = NumberDocuments(dataset);
  std::vector<uint32_t> queries;
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    if (std::ranges::any_of(dataset.judgments(split, query), IsJudged)) queries.push_back(query);
  }

  std::vector<Sequence> all;
  for (uint32_t i = 0; i < queries.size(); ++i) all.push_back({i, sequences.QueryLength(queries[i])});
  for (uint32_t number = 0; number < numbering.documents.size(); ++number) {
    if (numbering.targets[number] != number) continue;
    all.push_back({static_cast<uint32_t>(queries.size() + number),
                   sequences.PassageLength(numbering.passages[number])});
  }
  const RankLoad own =
      std::move(AssignSequences(std::move(all), world_size,
                                std::min(spec.batch().micro_batch_tokens(), kMaxMicroBatchTokens))[rank]);

  StreamEvaluationResponse response;
  EvaluationHeader& header = *response.mutable_header();
  header.set_query_count(static_cast<uint32_t>(queries.size()));
  header.set_document_count(dataset.documents());
  header.set_own_sequences(static_cast<uint32_t>(own.slots.size()));
  header.set_own_queries(static_cast<uint32_t>(
      std::ranges::count_if(own.slots, [&](uint32_t slot) { return slot < queries.size(); })));
  if (rank == 0) {
    AddJudgments(dataset, split, queries, numbering, header);
    for (uint32_t number = 0; number < numbering.targets.size(); ++number) {
      if (numbering.targets[number] == number) continue;
      header.add_alias_documents(number);
      header.add_alias_targets(numbering.targets[number]);
    }
    // A job's evaluation and report may differ in this setting, and the request does not say which one it is for; the
    // rank knows whether to use the pairs.
    if (spec.evaluate().ignore_identical_ids() || spec.report().ignore_identical_ids()) {
      AddIdenticalIds(dataset, queries, numbering, header);
    }
  }
  if (header.ByteSizeLong() > kMaxShareBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("evaluation: judgments, duplicate documents and equal ids take ", header.ByteSizeLong() >> 20,
                     " MiB, at most ", kMaxShareBytes >> 20, " MiB can be sent. Use a smaller split, or import the ",
                     "documents without their duplicates."));
  }
  RETURN_IF_ERROR(send(response));
  for (size_t i = 0; i < own.micro_batch_ends.size(); ++i) {
    response.Clear();
    sequences.FillMicroBatch(queries, numbering.passages, own.MicroBatch(i), *response.mutable_micro_batch());
    RETURN_IF_ERROR(send(response));
  }
  return absl::OkStatus();
}

}  // namespace muster
