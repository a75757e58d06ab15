#include "coordinator/data/service/resolve_data.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/nearest_name.h"
#include "common/spec/stages.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/plan/negatives.h"
#include "coordinator/data/plan/share_source.h"
#include "coordinator/data/plan/step_plan.h"
#include "coordinator/data/plan/teacher_lists.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/store/judgment_table.h"

namespace muster {

using muster::v1::JobSpec;
using muster::v1::ResolvedJob;

absl::Status WrongField(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

namespace {

absl::StatusOr<std::shared_ptr<const Dataset>> OpenByName(DataStores& stores, const std::string& name,
                                                          absl::string_view field) {
  const auto entry = stores.catalogue->GetDataset(name);
  if (!entry.ok()) return WithContext(entry.status(), ToStd(field));
  auto dataset = stores.shelf->Open(entry->digest());
  if (!dataset.ok()) return WithContext(dataset.status(), ToStd(field));
  return dataset;
}

absl::StatusOr<uint32_t> SplitIndex(const Dataset& dataset, const std::string& name, const std::string& split,
                                    absl::string_view field) {
  const auto found = std::find(dataset.splits().begin(), dataset.splits().end(), split);
  if (found != dataset.splits().end()) return static_cast<uint32_t>(found - dataset.splits().begin());
  return WrongField(field, absl::StrCat("dataset \"", name, "\" has no split \"", split, "\". ",
                                        WhatExists(split, dataset.splits())));
}

bool HasPositive(const Dataset& dataset, uint32_t split) {
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    const auto judgments = dataset.judgments(split, query);
    if (std::any_of(judgments.begin(), judgments.end(), IsPositive)) return true;
  }
  return false;
}

// The name mine.out must be free, or be the searched dataset's own name, which only its owner may use. This is checked
// again when the dataset is published.
absl::Status CheckMinedName(DataStores& stores, const muster::v1::MineSpec& mine, const std::string& owner) {
  const auto existing = stores.catalogue->GetDataset(mine.out());
  if (absl::IsNotFound(existing.status())) return absl::OkStatus();
  RETURN_IF_ERROR(existing.status());
  if (mine.out() != mine.dataset()) {
    return WrongField("mine.out", absl::StrCat("dataset \"", mine.out(), "\" exists: ", Describe(*existing),
                                               ". Choose another name, or remove it with muster data rm ", mine.out(), "."));
  }
  if (owner.empty()) return absl::OkStatus();
  return WithContext(CheckOwner({Role::kSubmitter, owner}, *existing), "mine.out");
}

// Without a negative every objective's loss is 0 and nothing is trained, except that the joint likelihoods even out the
// scores of a query's several positives.
absl::Status CheckNegatives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                            const std::vector<uint32_t>& queries, const JobSpec& spec, const JobSpec& given,
                            std::vector<std::string>& notes) {
  const uint64_t unused =
      rules.negatives_per_query == 0 ? CountHardNegatives(dataset, split, rules, queries) : 0;
  if (unused > 0 && !given.data().negatives().has_per_query()) {
    notes.push_back(absl::StrCat("data.negatives.per_query: is left out, so the ", unused, " hard negatives of split \"",
                                 spec.data().split(), "\" are not used. Set it to use them, or to 0 to leave them out."));
  }
  if (spec.loss().distill().only()) return absl::OkStatus();  // a teacher needs none
  if (MayHaveNegatives(dataset, split, rules, queries, spec.batch().queries())) return absl::OkStatus();
  const char* remedy = unused > 0                    ? "Set data.negatives.per_query to use the hard negatives of the data."
                       : spec.batch().queries() == 1 ? "Raise batch.queries, or import hard negatives and set "
                                                       "data.negatives.per_query."
                                                     : "Import more passages, or hard negatives, and set "
                                                       "data.negatives.per_query.";
  const std::string fact = absl::StrCat("no query of split \"", spec.data().split(),
                                        "\" ever has a negative: all passages of every batch are relevant to it");
  const bool joint = spec.loss().objective() == muster::v1::OBJECTIVE_JOINTLH ||
                     spec.loss().objective() == muster::v1::OBJECTIVE_JOINTLH_SUM;
  if (joint && MayBringSeveralPositives(dataset, split, rules, queries)) {
    notes.push_back(absl::StrCat("data.train: ", fact,
                                 ", so training only evens out the scores of its positives. ", remedy));
    return absl::OkStatus();
  }
  return WrongField("data.train", absl::StrCat(fact, ", so the loss would be 0 at every step. ", remedy));
}

// If no list has anything to compare, loss.distill would have no effect.
absl::Status CheckTeacher(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                          const std::vector<uint32_t>& queries, const JobSpec& spec, std::vector<std::string>& notes) {
  if (!spec.loss().has_distill()) return absl::OkStatus();
  const TeacherListCounts counts = CountTeacherLists(dataset, split, rules, queries, spec.loss().distill().kind());
  const std::string of_split = absl::StrCat(" of split \"", spec.data().split(), "\"");
  if (counts.scores == 0) {
    return WrongField("loss.distill", absl::StrCat("no judgment", of_split, " has a teacher's score. Import data with scores "
                                                   "(docs/reference/data-schemas.md), or remove loss.distill."));
  }
  const bool margins = spec.loss().distill().kind() == muster::v1::DISTILL_KIND_MARGIN_MSE;
  const char* list = margins ? "a positive and another passage that a teacher scored" : "two passages that a teacher scored";
  if (counts.queries == 0) {
    return WrongField("loss.distill", absl::StrCat("no query", of_split, " brings ", list, " to a step. ",
                                                   rules.negatives_per_query == 0 ? "Set data.negatives.per_query."
                                                                                  : "Import data with more scores."));
  }
  if (counts.queries < queries.size()) {
    notes.push_back(absl::StrCat("loss.distill: ", counts.queries, " of ", queries.size(), " queries", of_split, " can bring ",
                                 list, ". The others ",
                                 spec.loss().distill().only() ? "add nothing to the loss." : "have the objective alone."));
  }
  return absl::OkStatus();
}

bool HasHardNegative(const Dataset& dataset, uint32_t split) {
  const auto is_hard = [](const Judgment& judgment) { return judgment.hard_negative == kHardNegative; };
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    if (std::ranges::any_of(dataset.judgments(split, query), is_hard)) return true;
  }
  return false;
}

// "data.noise: of 1000 positives of split "train", 98 are replaced by random passages and 51 are dropped."
std::string NoiseNote(const NoiseCounts& counts, const JobSpec& spec) {
  const muster::v1::NoiseSpec& noise = spec.data().noise();
  std::vector<std::string> parts;
  const auto add = [&](double share, uint64_t count, absl::string_view what) {
    if (share > 0) parts.push_back(absl::StrCat(count, count == 1 ? " is " : " are ", what));
  };
  add(noise.random_passages(), counts.random_passages, "replaced by random passages");
  add(noise.hard_negatives(), counts.hard_negatives, "replaced by hard negatives of their query");
  add(noise.other_positives(), counts.other_positives, "replaced by positives of other queries");
  add(noise.dropped(), counts.dropped, "dropped");
  if (counts.no_longer_selectable > 0) {
    add(1, counts.no_longer_selectable, "no longer selected because of the error of their grades");
  }
  std::string text = absl::StrCat("data.noise: of ", counts.positives, " positives of split \"", spec.data().split(), "\", ");
  absl::StrAppend(&text, parts.empty() ? "all have an error in their grades" : absl::StrJoin(parts, ", "), ".");
  if (counts.not_replaceable > 0) {
    absl::StrAppend(&text, " ", counts.not_replaceable, " more ", counts.not_replaceable == 1 ? "is" : "are",
                    " kept, because no passage that is not relevant could replace ",
                    counts.not_replaceable == 1 ? "it." : "them.");
  }
  return text;
}

// `rules`: with the noise.
absl::Status CheckLabelNoise(const Dataset& dataset, uint32_t split, const ChoiceRules& rules, const JobSpec& spec,
                             std::vector<std::string>& notes) {
  if (rules.noise == nullptr) return absl::OkStatus();
  if (spec.data().noise().hard_negatives() > 0 && !HasHardNegative(dataset, split)) {
    return WrongField("data.noise.hard_negatives",
                      absl::StrCat("split \"", spec.data().split(), "\" of dataset \"", spec.data().train(),
                                   "\" has no hard negatives. Import or mine some (docs/guides/mining.md), or use "
                                   "random_passages or other_positives."));
  }
  const NoiseCounts counts = rules.noise->Count([&](const Judgment& judgment) { return IsSelectable(judgment, rules); });
  notes.push_back(NoiseNote(counts, spec));
  return absl::OkStatus();
}

// Caches the result, so that equal requests walk the split's judgments once.
absl::StatusOr<std::shared_ptr<const TrainingFacts>> FactsOf(DataStores& stores, std::shared_ptr<const Dataset> dataset,
                                                             uint32_t split, const JobSpec& spec, const JobSpec& given) {
  const auto walk = [&]() -> absl::StatusOr<std::shared_ptr<const TrainingFacts>> {
    ASSIGN_OR_RETURN(const ChoiceRules rules, MakeChoiceRules(*dataset, spec));
    const std::vector<uint32_t> queries = SelectableQueries(*dataset, split, rules);
    TrainingFacts facts{.queries = queries.size()};
    if (queries.empty()) {
      return WrongField("data.split", absl::StrCat("no query of split \"", spec.data().split(), "\" of dataset \"",
                                                   spec.data().train(), "\" has a positive that may be chosen. Choose "
                                                   "another split, or change positives.sources or positives.min_grade."));
    }
    RETURN_IF_ERROR(CheckLabelNoise(*dataset, split, rules, spec, facts.notes));
    RETURN_IF_ERROR(CheckNegatives(*dataset, split, rules, queries, spec, given, facts.notes));
    RETURN_IF_ERROR(CheckTeacher(*dataset, split, rules, queries, spec, facts.notes));
    return std::make_shared<const TrainingFacts>(std::move(facts));
  };
  const std::string key = Sha256Hex(absl::StrCat(dataset->digest(), " ", split, " ", spec.batch().queries(), " ",
                                                 spec.loss().objective(), " ",
                                                 given.data().negatives().has_per_query(), " ",
                                                 spec.loss().has_distill(), " ",
                                                 DeterministicBytes(spec.loss().distill()), "\n",
                                                 DeterministicBytes(spec.data())));
  return stores.facts.Get(key, walk, [] { return absl::OkStatus(); });
}

// `spec` is a job without stages, or the separate job that trains as one of the stages does (SpecOfStage).
absl::StatusOr<muster::v1::ResolvedStage> ResolveStage(DataStores& stores, std::shared_ptr<const Dataset> dataset,
                                                       const JobSpec& spec, const JobSpec& given,
                                                       std::vector<std::string>& notes) {
  const std::string& name = spec.data().train();
  ASSIGN_OR_RETURN(const uint32_t split, SplitIndex(*dataset, name, spec.data().split(), "data.split"));
  for (const std::string& source : spec.data().positives().sources()) {
    const auto& sources = dataset->sources();
    if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
      return WrongField("data.positives.sources", absl::StrCat("dataset \"", name, "\" has no judgments of source \"",
                                                               source, "\". ", WhatExists(source, sources)));
    }
  }
  ASSIGN_OR_RETURN(const auto facts, FactsOf(stores, dataset, split, spec, given));
  notes.insert(notes.end(), facts->notes.begin(), facts->notes.end());
  muster::v1::ResolvedStage stage;
  stage.set_train_queries(facts->queries);
  stage.set_steps_per_epoch(StepsPerEpoch(facts->queries, std::max<uint64_t>(1, spec.batch().queries())));
  stage.set_steps(spec.duration().has_steps() ? spec.duration().steps() : stage.steps_per_epoch() * spec.duration().epochs());
  return stage;
}

}  // namespace

absl::StatusOr<std::string> ResolveEvaluation(DataStores& stores, const std::string& name, const std::string& split,
                                              absl::string_view section) {
  ASSIGN_OR_RETURN(const auto dataset, OpenByName(stores, name, absl::StrCat(section, ".dataset")));
  const std::string field = absl::StrCat(section, ".split");
  ASSIGN_OR_RETURN(const uint32_t index, SplitIndex(*dataset, name, split, field));
  if (HasPositive(*dataset, index)) return dataset->digest();
  return WrongField(field, absl::StrCat("no query of split \"", split, "\" has a positive. Choose another split."));
}

absl::StatusOr<std::string> ResolveMining(DataStores& stores, const muster::v1::MineSpec& mine, const std::string& owner) {
  ASSIGN_OR_RETURN(std::string digest, ResolveEvaluation(stores, mine.dataset(), mine.split(), "mine"));
  RETURN_IF_ERROR(CheckMinedName(stores, mine, owner));
  return digest;
}

absl::Status ResolveTraining(DataStores& stores, const JobSpec& spec, const JobSpec& given, ResolvedJob& resolved,
                             std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(const auto dataset, OpenByName(stores, spec.data().train(), "data.train"));
  resolved.set_train_dataset(dataset->digest());
  uint64_t steps = 0;
  for (int i = 0; i < std::max(1, spec.stages_size()); ++i) {
    const std::string context = spec.stages().empty() ? "" : absl::StrCat("stages[", i, "]");
    std::vector<std::string> own_notes;
    const auto stage = ResolveStage(stores, dataset, SpecOfStage(spec, i), given, own_notes);
    if (!stage.ok()) return context.empty() ? stage.status() : WithContext(stage.status(), context);
    for (const std::string& note : own_notes) notes.push_back(absl::StrCat(context, context.empty() ? "" : ": ", note));
    if (i == 0) {
      resolved.set_train_queries(stage->train_queries());
      resolved.set_steps_per_epoch(stage->steps_per_epoch());
    }
    if (!context.empty()) *resolved.add_stages() = *stage;
    steps += stage->steps();
  }
  resolved.set_total_steps(steps);
  return absl::OkStatus();
}

}  // namespace muster
