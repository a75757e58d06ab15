#include "coordinator/data/plan/step_plan.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/digest.h"
#include "common/status.h"
#include "coordinator/data/plan/keys.h"
#include "coordinator/data/plan/permutation.h"

namespace muster {
namespace {

template <typename T>
void AddToDigest(Sha256& hash, const std::vector<T>& values) {
  const uint64_t count = values.size();
  hash.Update({reinterpret_cast<const char*>(&count), sizeof count});
  hash.Update({reinterpret_cast<const char*>(values.data()), count * sizeof(T)});
}

// Passages are identified by their texts, so that the same data in another schema, with other numbers, has the same
// digest.
uint64_t DigestOf(const StepPlan& plan, const std::string& identity, const Dataset& dataset) {
  Sha256 hash;
  hash.Update(identity);
  const uint64_t numbers[] = {plan.step, plan.epoch, plan.epoch_end};
  hash.Update({reinterpret_cast<const char*>(numbers), sizeof numbers});
  AddToDigest(hash, plan.queries);
  if (dataset.content_digest() == dataset.digest()) {
    // For an older dataset: computed as that version computed it, because the ranks of one step may have their shares
    // from both versions.
    AddToDigest(hash, plan.passages);
  } else {
    std::vector<uint64_t> passages;
    passages.reserve(plan.passages.size());
    for (const uint32_t passage : plan.passages) passages.push_back(dataset.passage_digest(passage));
    AddToDigest(hash, passages);
  }
  AddToDigest(hash, plan.positive_offsets);
  AddToDigest(hash, plan.positives);
  AddToDigest(hash, plan.positive_weights);
  AddToDigest(hash, plan.ignored_offsets);
  AddToDigest(hash, plan.ignored);
  AddToDigest(hash, plan.row_weights);
  if (plan.has_noise) {
    hash.Update("noise");
    AddToDigest(hash, plan.noise_positives);
  }
  if (!plan.teacher_offsets.empty()) {  // otherwise the digest is that of versions without distillation
    AddToDigest(hash, plan.teacher_offsets);
    AddToDigest(hash, plan.teacher_columns);
    AddToDigest(hash, plan.teacher_scores);
  }
  const auto bytes = hash.Finish();
  uint64_t digest;
  std::memcpy(&digest, bytes.data(), sizeof digest);
  return digest;
}

// The list of the query whose passages have been given columns.
template <typename ColumnOf>
void AddTeacherList(const PassagesOfQuery& judged, const Choice& choice, const ColumnOf& column_of, StepPlan& plan) {
  const size_t begin = plan.teacher_columns.size();
  const auto add = [&](uint32_t passage) {
    const std::optional<float> score = judged.ScoreOf(passage);
    if (!score.has_value()) return;
    plan.teacher_columns.push_back(column_of(passage));
    plan.teacher_scores.push_back(*score);
  };
  for (const PassagesOfQuery::Positive& positive : choice.positives) add(positive.passage);
  for (const uint32_t passage : choice.negatives) add(passage);
  if (plan.teacher_columns.size() < begin + 2) {
    plan.teacher_columns.resize(begin);
    plan.teacher_scores.resize(begin);
  }
  plan.teacher_offsets.push_back(static_cast<uint32_t>(plan.teacher_columns.size()));
}

}  // namespace

absl::StatusOr<PlanInputs> MakePlanInputs(const Dataset& dataset, const muster::v1::JobSpec& spec) {
  const std::vector<std::string>& splits = dataset.splits();
  const auto split = std::ranges::find(splits, spec.data().split());
  if (split == splits.end()) {
    return absl::InvalidArgumentError(absl::StrCat("data.split: the dataset has no split \"", spec.data().split(),
                                                   "\". It has: ", absl::StrJoin(splits, ", "), "."));
  }
  PlanInputs inputs;
  inputs.dataset = &dataset;
  inputs.split = static_cast<uint32_t>(split - splits.begin());
  ASSIGN_OR_RETURN(inputs.rules, MakeChoiceRules(dataset, spec));
  inputs.queries = SelectableQueries(dataset, inputs.split, inputs.rules);
  inputs.weigh = spec.data().positives().weigh();
  inputs.batch = spec.batch().queries();
  return inputs;
}

std::vector<uint32_t> SelectableQueries(const Dataset& dataset, uint32_t split, const ChoiceRules& rules) {
  std::vector<uint32_t> queries;
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    if (HasSelectablePositive(ReadJudgments(dataset, split, query, rules).judgments, rules)) queries.push_back(query);
  }
  return queries;
}

size_t StepPlan::MemoryBytes() const {
  return sizeof(StepPlan) + sizeof(uint32_t) * (queries.capacity() + passages.capacity() + positive_offsets.capacity() +
                                                positives.capacity() + positive_weights.capacity() +
                                                ignored_offsets.capacity() + ignored.capacity() +
                                                row_weights.capacity() + noise_positives.capacity() +
                                                teacher_offsets.capacity() + teacher_columns.capacity() +
                                                teacher_scores.capacity());
}

StepPlan PlanStep(const PlanInputs& inputs, uint64_t step) {
  const Dataset& dataset = *inputs.dataset;
  StepPlan plan;
  plan.has_noise = inputs.rules.noise != nullptr;
  const uint64_t steps = StepsPerEpoch(inputs.queries.size(), inputs.batch);
  plan.step = step;
  plan.epoch = step / steps;
  plan.epoch_end = step % steps + 1 == steps;

  const KeyedPermutation order(inputs.queries.size(), EpochKey(inputs.rules.seed, plan.epoch, Purpose::kOrder));
  const uint64_t begin = step % steps * inputs.batch;
  const uint64_t end = std::min<uint64_t>(inputs.queries.size(), begin + inputs.batch);
  for (uint64_t position = begin; position < end; ++position) plan.queries.push_back(inputs.queries[order(position)]);

  absl::flat_hash_map<uint32_t, uint32_t> column_of;
  column_of.reserve(plan.queries.size() * 4);
  const auto column = [&](uint32_t passage) {
    const auto [found, is_new] = column_of.try_emplace(passage, static_cast<uint32_t>(plan.passages.size()));
    if (is_new) plan.passages.push_back(passage);
    return found->second;
  };
  // The passages relevant to each row, kept for the second pass, because a later row may bring one of them.
  std::vector<std::vector<uint32_t>> relevant;
  relevant.reserve(plan.queries.size());
  plan.positive_offsets.push_back(0);
  const bool distill = inputs.rules.distill;
  if (distill) plan.teacher_offsets.push_back(0);
  for (const uint32_t query : plan.queries) {
    const TrainingJudgments read = ReadJudgments(dataset, inputs.split, query, inputs.rules);
    PassagesOfQuery judged = JudgedPassages(read.judgments, inputs.rules, distill ? read.scores : std::span<const float>());
    const Choice choice = ChoosePassages(judged, inputs.rules, plan.epoch, query);
    for (const PassagesOfQuery::Positive& positive : choice.positives) {
      if (read.IsInjected(positive.passage)) plan.noise_positives.push_back(static_cast<uint32_t>(plan.positives.size()));
      plan.positives.push_back(column(positive.passage));
      if (inputs.weigh) plan.positive_weights.push_back(positive.grade);
    }
    for (const uint32_t passage : choice.negatives) column(passage);
    if (distill) AddTeacherList(judged, choice, column, plan);
    plan.positive_offsets.push_back(static_cast<uint32_t>(plan.positives.size()));
    relevant.push_back(std::move(judged.relevant));
  }

  plan.ignored_offsets.push_back(0);
  std::vector<uint32_t> selected;
  for (size_t row = 0; row < plan.queries.size(); ++row) {
    selected.assign(plan.positives.begin() + plan.positive_offsets[row],
                    plan.positives.begin() + plan.positive_offsets[row + 1]);
    std::ranges::sort(selected);
    for (const uint32_t passage : relevant[row]) {
      const auto found = column_of.find(passage);
      if (found != column_of.end() && !std::ranges::binary_search(selected, found->second)) {
        plan.ignored.push_back(found->second);
      }
    }
    plan.ignored_offsets.push_back(static_cast<uint32_t>(plan.ignored.size()));
  }

  bool all_one = true;
  for (size_t row = 0; row < plan.queries.size(); ++row) {
    const float weight = dataset.query_weight(plan.queries[row]);
    plan.row_weights.push_back(weight);
    all_one &= weight == 1;
    if (plan.positive_offsets[row] != plan.positive_offsets[row + 1]) plan.total_weight += weight;
  }
  if (all_one) plan.row_weights = {};
  plan.digest = DigestOf(plan, inputs.identity, dataset);
  return plan;
}

}  // namespace muster
