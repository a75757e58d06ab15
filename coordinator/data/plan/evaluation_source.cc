#include "coordinator/data/plan/evaluation_source.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/data/plan/mining_edges.h"
#include "coordinator/data/plan/share_source.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;
using muster::internal::v1::StreamEvaluationResponse;

constexpr uint32_t kMaxMicroBatchTokens = 4 << 20;  // 16 MiB of ids

bool IsJudged(const Judgment& judgment) { return judgment.hard_negative == 0; }

}  // namespace

std::vector<uint32_t> EvaluatedQueries(const Dataset& dataset, uint32_t split) {
  std::vector<uint32_t> queries;
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    if (std::ranges::any_of(dataset.judgments(split, query), IsJudged)) queries.push_back(query);
  }
  return queries;
}

absl::StatusOr<std::shared_ptr<const EvaluationSource>> EvaluationSource::Create(Options options) {
  if (options.split >= options.dataset->splits().size()) {
    return absl::InvalidArgumentError(absl::StrCat("split ", options.split, " of ", options.dataset->splits().size()));
  }
  if (options.tokens->dataset_digest() != options.dataset->digest()) {
    return absl::InternalError("the token store belongs to another dataset");
  }
  if (options.spec.batch().micro_batch_tokens() == 0) {
    return absl::InvalidArgumentError("batch.micro_batch_tokens: must be 1 or more");
  }
  ASSIGN_OR_RETURN(Sequences sequences, Sequences::Create(*options.tokens, options.spec.model(), options.resolved));
  return std::shared_ptr<const EvaluationSource>(new EvaluationSource(std::move(options), std::move(sequences)));
}

EvaluationSource::EvaluationSource(Options options, Sequences sequences)
    : options_(std::move(options)), sequences_(std::move(sequences)) {
  const DocumentNumbering& numbering = *options_.numbering;
  queries_ = EvaluatedQueries(*options_.dataset, options_.split);
  std::vector<Sequence> all;
  all.reserve(queries_.size() + numbering.documents.size() - numbering.aliases.size());
  for (uint32_t i = 0; i < queries_.size(); ++i) all.push_back({i, sequences_.QueryLength(queries_[i])});
  auto alias = numbering.aliases.begin();
  constexpr size_t kAhead = 16;
  for (uint32_t number = 0; number < numbering.documents.size(); ++number) {
    if (number + kAhead < numbering.passages.size()) sequences_.PrefetchPassageLength(numbering.passages[number + kAhead]);
    if (alias != numbering.aliases.end() && alias->first == number) {
      ++alias;
      continue;
    }
    all.push_back({static_cast<uint32_t>(queries_.size() + number),
                   sequences_.PassageLength(numbering.passages[number])});
  }
  loads_ = AssignSequences(std::move(all), options_.world_size,
                std::min(options_.spec.batch().micro_batch_tokens(), kMaxMicroBatchTokens));
}

void EvaluationSource::AddJudgments(EvaluationHeader& header) const {
  header.add_judged_offsets(0);
  for (const uint32_t query : queries_) {
    std::map<uint32_t, float> grades;  // by number; the highest grade of all sources
    for (const Judgment& judgment : options_.dataset->judgments(options_.split, query)) {
      if (!IsJudged(judgment)) continue;
      const auto [found, is_new] = grades.try_emplace(options_.numbering->numbers[judgment.document], judgment.grade);
      if (!is_new) found->second = std::max(found->second, judgment.grade);
    }
    for (const auto& [number, grade] : grades) {
      header.add_judged_documents(number);
      header.add_judged_grades(grade);
    }
    header.add_judged_offsets(static_cast<uint32_t>(header.judged_documents_size()));
  }
}

// Each query that has the id of a document, with that document, in order of the queries; then the end mark.
void EvaluationSource::AddIdenticalIds(EvaluationHeader& header) const {
  const Dataset& dataset = *options_.dataset;
  const std::vector<uint32_t>& documents = options_.numbering->documents;
  for (uint32_t i = 0; i < queries_.size(); ++i) {
    const std::string_view id = dataset.query_id(queries_[i]);
    // Numbers are in descending order of ids.
    const auto found = std::ranges::lower_bound(documents, id, std::greater<>(),
                                                [&](uint32_t document) { return dataset.document_id(document); });
    if (found == documents.end() || dataset.document_id(*found) != id) continue;
    header.add_identical_id_queries(i);
    header.add_identical_id_documents(static_cast<uint32_t>(found - documents.begin()));
  }
  header.add_identical_id_queries(header.query_count());
  header.add_identical_id_documents(header.document_count());
}

EvaluationHeader EvaluationSource::CountsFor(uint32_t rank) const {
  const std::vector<uint32_t>& slots = loads_[rank].slots;
  EvaluationHeader header;
  header.set_query_count(static_cast<uint32_t>(queries_.size()));
  header.set_document_count(options_.dataset->documents());
  header.set_own_sequences(static_cast<uint32_t>(slots.size()));
  header.set_own_queries(
      static_cast<uint32_t>(std::ranges::count_if(slots, [&](uint32_t slot) { return slot < queries_.size(); })));
  return header;
}

EvaluationHeader EvaluationSource::HeaderFor(uint32_t rank, bool pair_identical_ids) const {
  EvaluationHeader header = CountsFor(rank);
  if (rank != 0) return header;
  AddJudgments(header);
  for (const auto& [number, target] : options_.numbering->aliases) {
    header.add_alias_documents(number);
    header.add_alias_targets(target);
  }
  if (pair_identical_ids) AddIdenticalIds(header);
  return header;
}

absl::Status EvaluationSource::CheckRank(uint32_t rank) const {
  if (rank < options_.world_size) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("rank ", rank, " of a world of ", options_.world_size));
}

absl::Status EvaluationSource::Stream(uint32_t rank, bool pair_identical_ids, const Send& send, ShareForm form) const {
  RETURN_IF_ERROR(CheckRank(rank));
  return SendPart(rank, HeaderFor(rank, pair_identical_ids), send, form);
}

absl::Status EvaluationSource::StreamMining(uint32_t rank, const Send& send, ShareForm form) const {
  RETURN_IF_ERROR(CheckRank(rank));
  EvaluationHeader header = CountsFor(rank);
  *header.mutable_mining() = MakeMiningEdges(*options_.dataset, *options_.numbering, options_.split, queries_);
  return SendPart(rank, std::move(header), send, form);
}

absl::Status EvaluationSource::SendPart(uint32_t rank, EvaluationHeader header, const Send& send, ShareForm form) const {
  StreamEvaluationResponse response;
  *response.mutable_header() = std::move(header);
  if (response.ByteSizeLong() > kMaxShareBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("evaluation: judgments, duplicate documents and equal ids take ", response.ByteSizeLong() >> 20,
                     " MiB, at most ", kMaxShareBytes >> 20, " MiB can be sent. Use a smaller split, or import the ",
                     "documents without their duplicates."));
  }
  RETURN_IF_ERROR(send(response));
  const RankLoad& own = loads_[rank];
  for (size_t i = 0; i < own.micro_batch_ends.size(); ++i) {
    response.mutable_micro_batch()->Clear();  // keeps its memory
    sequences_.FillMicroBatch(queries_, options_.numbering->passages, own.MicroBatch(i), form.narrow_tokens,
                              *response.mutable_micro_batch());
    RETURN_IF_ERROR(send(response));
  }
  return absl::OkStatus();
}

}  // namespace muster
