#include "coordinator/data/plan/step_plan.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/digest.h"
#include "common/spec/training_sets.h"
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
uint64_t DigestOf(const StepPlan& plan, const std::string& identity, const TrainingTexts& texts) {
  Sha256 hash;
  hash.Update(identity);
  const uint64_t numbers[] = {plan.step, plan.epoch, plan.epoch_end};
  hash.Update({reinterpret_cast<const char*>(numbers), sizeof numbers});
  AddToDigest(hash, plan.queries);
  const Dataset& first = *texts.datasets()[0];
  if (texts.datasets().size() == 1 && first.content_digest() == first.digest()) {
    // For an older dataset: computed as that version computed it, because the ranks of one step may have their shares
    // from both versions.
    AddToDigest(hash, plan.passages);
  } else {
    std::vector<uint64_t> passages;
    passages.reserve(plan.passages.size());
    for (const uint32_t passage : plan.passages) passages.push_back(texts.PassageDigest(passage));
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

// Adds passages that other sets judge relevant to the query's text.
void AddRelevant(const TrainingInputs& inputs, size_t set, uint32_t query, PassagesOfQuery& judged) {
  std::vector<uint32_t> added;
  for (const TrainingTexts::QueryOfSet& same : inputs.texts->SameQueries(set, query)) {
    const PlanInputs& other = inputs.sets[same.set];
    const TrainingJudgments read = ReadJudgments(*other.dataset, other.split, same.query, other.rules);
    for (const uint32_t passage : JudgedPassages(read.judgments, other.rules).relevant) {
      const uint32_t number = inputs.texts->PassageNumber(same.set, passage);
      const auto knows = [&](const std::vector<uint32_t>& passages) { return std::ranges::count(passages, number) > 0; };
      if (!knows(judged.relevant) && !knows(added)) added.push_back(number);
    }
  }
  std::erase_if(judged.negatives, [&](uint32_t passage) { return std::ranges::count(added, passage) > 0; });
  judged.relevant.insert(judged.relevant.end(), added.begin(), added.end());
}

}  // namespace

absl::StatusOr<uint32_t> FindSplit(const Dataset& dataset, const std::string& split, const std::string& field) {
  const std::vector<std::string>& splits = dataset.splits();
  const auto found = std::ranges::find(splits, split);
  if (found != splits.end()) return static_cast<uint32_t>(found - splits.begin());
  return absl::InvalidArgumentError(absl::StrCat(field, ": the dataset has no split \"", split, "\". It has: ",
                                                 absl::StrJoin(splits, ", "), "."));
}

absl::StatusOr<TrainingInputs> MakeTrainingInputs(std::shared_ptr<const TrainingTexts> texts, const muster::v1::JobSpec& spec) {
  RETURN_IF_ERROR(CheckSources(texts->datasets(), spec.data().positives()));
  const std::vector<muster::v1::TrainingSet> named = TrainingSetsOf(spec.data());
  TrainingInputs inputs;
  muster::v1::JobSpec alone = spec;
  for (size_t set = 0; set < texts->sets().size(); ++set) {
    const auto& [dataset, split] = texts->sets()[set];
    *alone.mutable_data() = DataOfTrainingSet(spec.data(), set);
    PlanInputs own;
    own.dataset = dataset;
    own.split = split;
    own.rules = RulesOf(*dataset, alone);
    own.queries = SelectableQueries(*dataset, split, own.rules);
    own.weigh = spec.data().positives().weigh();
    own.weight = named[set].weight();
    inputs.sets.push_back(std::move(own));
  }
  inputs.texts = std::move(texts);
  inputs.batch = spec.batch().queries();
  inputs.homogeneous = spec.data().homogeneous_batches();
  return inputs;
}

TrainingInputs::TrainingInputs(PlanInputs only_set)
    : texts(std::make_shared<const TrainingTexts>(TrainingTexts::Of(*only_set.dataset, only_set.split))), batch(only_set.batch),
      identity(only_set.identity) {
  sets.push_back(std::move(only_set));
}

SetDraws TrainingInputs::DrawsOf(size_t set) const {
  const PlanInputs& of_set = sets[set];
  const uint64_t key = MixKey(EpochKey(of_set.rules.seed, /*epoch=*/0, Purpose::kExtraQueries), set);
  return {of_set.queries.size(), of_set.weight, key};
}

EpochOrder TrainingInputs::Order() const {
  std::vector<uint64_t> draws;
  for (size_t set = 0; set < sets.size(); ++set) draws.push_back(DrawsOf(set).per_epoch());
  return {std::move(draws), batch, homogeneous, sets[0].rules.seed};
}

uint64_t TrainingInputs::DrawsPerEpoch() const {
  uint64_t draws = 0;
  for (size_t set = 0; set < sets.size(); ++set) draws += DrawsOf(set).per_epoch();
  return draws;
}

bool QueryPassages::IsInjected(uint32_t passage) const { return std::ranges::binary_search(injected, passage); }

QueryPassages ReadPassages(const TrainingInputs& inputs, size_t set, uint32_t query, bool scored) {
  const PlanInputs& own = inputs.sets[set];
  TrainingJudgments read = ReadJudgments(*own.dataset, own.split, query, own.rules);
  QueryPassages passages = {JudgedPassages(read.judgments, own.rules, scored ? read.scores : std::span<const float>()),
                            std::move(read.injected)};
  if (inputs.sets.size() == 1) return passages;
  PassagesOfQuery& judged = passages.judged;
  const auto renumber = [&](uint32_t& passage) { passage = inputs.texts->PassageNumber(set, passage); };
  for (PassagesOfQuery::Positive& positive : judged.selectable) renumber(positive.passage);
  std::ranges::for_each(judged.relevant, renumber);
  std::ranges::for_each(judged.negatives, renumber);
  for (PassagesOfQuery::Scored& one : judged.scored) renumber(one.passage);
  std::ranges::sort(judged.scored, {}, &PassagesOfQuery::Scored::passage);
  std::ranges::for_each(passages.injected, renumber);
  std::ranges::sort(passages.injected);
  AddRelevant(inputs, set, query, judged);
  return passages;
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

StepPlan PlanStep(const PlanInputs& only_set, uint64_t step) { return PlanStep(TrainingInputs(only_set), step); }

StepPlan PlanStep(const TrainingInputs& inputs, uint64_t step) {
  const EpochOrder::Step drawn = inputs.Order().At(step);
  StepPlan plan;
  plan.step = step;
  plan.epoch = drawn.epoch;
  plan.epoch_end = drawn.epoch_end;
  plan.has_noise = inputs.sets[0].rules.noise != nullptr;
  if (inputs.homogeneous) plan.training_set = static_cast<uint32_t>(drawn.rows[0].set);
  std::vector<SetDraws> draws;
  for (size_t set = 0; set < inputs.sets.size(); ++set) draws.push_back(inputs.DrawsOf(set));

  absl::flat_hash_map<uint32_t, uint32_t> column_of;
  column_of.reserve(drawn.rows.size() * 4);
  const auto column = [&](uint32_t passage) {
    const auto [found, is_new] = column_of.try_emplace(passage, static_cast<uint32_t>(plan.passages.size()));
    if (is_new) plan.passages.push_back(passage);
    return found->second;
  };
  // The passages relevant to each row, kept for the second pass, because a later row may bring one of them.
  std::vector<std::vector<uint32_t>> relevant;
  relevant.reserve(drawn.rows.size());
  plan.positive_offsets.push_back(0);
  const bool distill = inputs.sets[0].rules.distill;
  if (distill) plan.teacher_offsets.push_back(0);
  for (const EpochOrder::Place& place : drawn.rows) {
    const PlanInputs& own = inputs.sets[place.set];
    const SetDraws::Draw draw = draws[place.set].At(plan.epoch, place.draw);
    const uint32_t query = own.queries[draw.query];
    plan.queries.push_back(inputs.texts->QueryNumber(place.set, query));
    plan.row_weights.push_back(own.dataset->query_weight(query));
    QueryPassages read = ReadPassages(inputs, place.set, query, distill);
    PassagesOfQuery& judged = read.judged;
    const Choice choice = ChoosePassages(judged, own.rules, draw.turn, query);
    for (const PassagesOfQuery::Positive& positive : choice.positives) {
      if (read.IsInjected(positive.passage)) plan.noise_positives.push_back(static_cast<uint32_t>(plan.positives.size()));
      plan.positives.push_back(column(positive.passage));
      if (own.weigh) plan.positive_weights.push_back(positive.grade);
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
    const float weight = plan.row_weights[row];
    all_one &= weight == 1;
    if (plan.positive_offsets[row] != plan.positive_offsets[row + 1]) plan.total_weight += weight;
  }
  if (all_one) plan.row_weights = {};
  plan.digest = DigestOf(plan, inputs.identity, *inputs.texts);
  return plan;
}

}  // namespace muster
