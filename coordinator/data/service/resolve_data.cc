#include "coordinator/data/service/resolve_data.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/nearest_name.h"
#include "common/spec/stages.h"
#include "common/spec/training_sets.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/plan/job_plan.h"
#include "coordinator/data/plan/negatives.h"
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

// The name of what mining makes is free, or it is that of the mined dataset and its owner asks. It is checked again when
// the dataset is published.
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

// The datasets of a job's training sets. Their texts are joined when they are first needed.
class OpenedSets {
 public:
  static absl::StatusOr<OpenedSets> Open(DataStores& stores, const muster::v1::DataSpec& data) {
    OpenedSets opened;
    opened.data_ = data;
    for (const muster::v1::TrainingSet& set : TrainingSetsOf(data)) {
      const size_t index = opened.datasets_.size();
      ASSIGN_OR_RETURN(const auto dataset, OpenByName(stores, set.dataset(), TrainingDatasetField(data, index)));
      RETURN_IF_ERROR(SplitIndex(*dataset, set.dataset(), set.split(), TrainingSplitField(data, index)).status());
      opened.datasets_.push_back(dataset);
    }
    return opened;
  }

  const std::vector<std::shared_ptr<const Dataset>>& datasets() const { return datasets_; }
  absl::StatusOr<std::shared_ptr<const TrainingTexts>> Texts() {
    if (texts_ != nullptr) return texts_;
    std::vector<const Dataset*> datasets;
    for (const auto& dataset : datasets_) datasets.push_back(dataset.get());
    ASSIGN_OR_RETURN(TrainingTexts joined, JoinTrainingSets(datasets, data_));
    texts_ = std::make_shared<const TrainingTexts>(std::move(joined));
    return texts_;
  }

 private:
  muster::v1::DataSpec data_;
  std::vector<std::shared_ptr<const Dataset>> datasets_;  // one per set
  std::shared_ptr<const TrainingTexts> texts_;
};

// "split \"train\"" of a job with one set, otherwise "split \"train\" of dataset \"faq\"".
std::string NameOfSet(const muster::v1::DataSpec& data, size_t set) {
  if (data.sets().empty()) return absl::StrCat("split \"", data.split(), "\"");
  const muster::v1::TrainingSet& named = data.sets(static_cast<int>(set));
  return absl::StrCat("split \"", named.split(), "\" of dataset \"", named.dataset(), "\"");
}

// Of a set, or of all sets.
std::string NameOfSets(const muster::v1::DataSpec& data, size_t first, size_t last) {
  return first == last ? NameOfSet(data, first) : "data.sets";
}

void NoteUnusedHardNegatives(const TrainingInputs& inputs, const JobSpec& spec, const JobSpec& given,
                             std::vector<std::string>& notes) {
  if (given.data().negatives().has_per_query()) return;
  for (size_t set = 0; set < inputs.sets.size(); ++set) {
    const PlanInputs& own = inputs.sets[set];
    if (own.rules.negatives_per_query > 0) continue;
    const uint64_t unused = CountHardNegatives(*own.dataset, own.split, own.rules, own.queries);
    if (unused == 0) continue;
    notes.push_back(absl::StrCat("data.negatives.per_query: is left out, so the ", unused, " hard negatives of ",
                                 NameOfSet(spec.data(), set), " are not used. Set it to use them, or to 0 to leave them out."));
  }
}

// Without a negative every objective's loss is 0 and nothing is trained, except that the joint likelihoods even out the
// scores of a query's several positives. Checks batches that mix the sets from `first` to `last`.
absl::Status CheckNegatives(const TrainingInputs& inputs, size_t first, size_t last, const JobSpec& spec,
                            std::vector<std::string>& notes) {
  if (MayHaveNegatives(inputs, first, last)) return absl::OkStatus();
  bool unused = false, several = false;
  for (size_t set = first; set <= last; ++set) {
    const PlanInputs& own = inputs.sets[set];
    unused |= own.rules.negatives_per_query == 0 && CountHardNegatives(*own.dataset, own.split, own.rules, own.queries) > 0;
    several |= MayBringSeveralPositives(*own.dataset, own.split, own.rules, own.queries);
  }
  const char* remedy = unused                        ? "Set data.negatives.per_query to use the hard negatives of the data."
                       : spec.batch().queries() == 1 ? "Raise batch.queries, or import hard negatives and set "
                                                       "data.negatives.per_query."
                                                     : "Import more passages, or hard negatives, and set "
                                                       "data.negatives.per_query.";
  const std::string field = spec.data().sets().empty() ? "data.train"
                            : first == last            ? absl::StrCat("data.sets[", first, "]")
                                                       : "data.sets";
  const std::string fact = absl::StrCat("no query of ", NameOfSets(spec.data(), first, last),
                                        " ever has a negative: all passages of every batch are relevant to it");
  const bool joint = spec.loss().objective() == muster::v1::OBJECTIVE_JOINTLH ||
                     spec.loss().objective() == muster::v1::OBJECTIVE_JOINTLH_SUM;
  if (joint && several) {
    notes.push_back(absl::StrCat(field, ": ", fact, ", so training only evens out the scores of its positives. ", remedy));
    return absl::OkStatus();
  }
  return WrongField(field, absl::StrCat(fact, ", so the loss would be 0 at every step. ", remedy));
}

// Of every batch that a step may have.
absl::Status CheckAllNegatives(const TrainingInputs& inputs, const JobSpec& spec, std::vector<std::string>& notes) {
  if (spec.loss().distill().only()) return absl::OkStatus();  // a teacher needs none
  if (!inputs.homogeneous) return CheckNegatives(inputs, 0, inputs.sets.size() - 1, spec, notes);
  for (size_t set = 0; set < inputs.sets.size(); ++set) {
    if (inputs.sets[set].queries.empty()) continue;
    RETURN_IF_ERROR(CheckNegatives(inputs, set, set, spec, notes));
  }
  return absl::OkStatus();
}

// Without a list that says something, loss.distill would have no effect. In a job with several sets, one of them is enough.
absl::Status CheckTeacher(const TrainingInputs& inputs, const JobSpec& spec, std::vector<std::string>& notes) {
  if (!spec.loss().has_distill()) return absl::OkStatus();
  TeacherListCounts counts;
  uint64_t queries = 0;
  for (const PlanInputs& own : inputs.sets) {
    const TeacherListCounts of_set =
        CountTeacherLists(*own.dataset, own.split, own.rules, own.queries, spec.loss().distill().kind());
    counts.scores += of_set.scores;
    counts.queries += of_set.queries;
    queries += own.queries.size();
  }
  const std::string of_split = absl::StrCat(" of ", NameOfSets(spec.data(), 0, inputs.sets.size() - 1));
  if (counts.scores == 0) {
    return WrongField("loss.distill", absl::StrCat("no judgment", of_split, " has a teacher's score. Import data with scores "
                                                   "(docs/reference/data-schemas.md), or remove loss.distill."));
  }
  const bool margins = spec.loss().distill().kind() == muster::v1::DISTILL_KIND_MARGIN_MSE;
  const char* list = margins ? "a positive and another passage that a teacher scored" : "two passages that a teacher scored";
  if (counts.queries == 0) {
    return WrongField("loss.distill", absl::StrCat("no query", of_split, " brings ", list, " to a step. ",
                                                   inputs.sets[0].rules.negatives_per_query == 0
                                                       ? "Set data.negatives.per_query."
                                                       : "Import data with more scores."));
  }
  if (counts.queries < queries) {
    notes.push_back(absl::StrCat("loss.distill: ", counts.queries, " of ", queries, " queries", of_split, " can bring ", list,
                                 ". The others ",
                                 spec.loss().distill().only() ? "add nothing to the loss." : "have the objective alone."));
  }
  return absl::OkStatus();
}

// A set of a stage may be without queries, if the stage's sources are not its own: other stages train on it.
absl::Status CheckQueries(const TrainingInputs& inputs, const JobSpec& spec, bool of_stage, std::vector<std::string>& notes) {
  const auto of_set = [&](size_t set) {
    return absl::StrCat("no query of ", NameOfSet(spec.data(), set),
                        spec.data().sets().empty() ? absl::StrCat(" of dataset \"", spec.data().train(), "\"") : "",
                        " has a positive that may be chosen.");
  };
  const bool none = inputs.DrawsPerEpoch() == 0;
  for (size_t set = 0; set < inputs.sets.size(); ++set) {
    const uint64_t queries = inputs.sets[set].queries.size();
    if (queries == 0 && of_stage && !none) {
      notes.push_back(absl::StrCat("data.sets[", set, "]: ", of_set(set), " The stage trains on the other sets alone."));
    } else if (queries == 0) {
      return WrongField(TrainingSplitField(spec.data(), set),
                        absl::StrCat(of_set(set),
                                     " Choose another split, or change positives.sources or positives.min_grade."));
    } else if (inputs.DrawsOf(set).per_epoch() == 0) {
      return WrongField(absl::StrCat("data.sets[", set, "].weight"),
                        absl::StrCat("is ", inputs.sets[set].weight, ", and the set has ", queries,
                                     " queries, so no epoch would have any of them. Raise it to at least ",
                                     1.0 / static_cast<double>(queries), "."));
    }
  }
  return absl::OkStatus();
}

// Caches the result, so that equal requests walk the splits' judgments once.
absl::StatusOr<std::shared_ptr<const TrainingFacts>> FactsOf(DataStores& stores, OpenedSets& sets, const JobSpec& spec,
                                                             const JobSpec& given, bool of_stage) {
  const auto walk = [&]() -> absl::StatusOr<std::shared_ptr<const TrainingFacts>> {
    ASSIGN_OR_RETURN(const std::shared_ptr<const TrainingTexts> texts, sets.Texts());
    ASSIGN_OR_RETURN(const TrainingInputs inputs, MakeTrainingInputs(texts, spec));
    TrainingFacts facts{.queries = inputs.DrawsPerEpoch()};
    RETURN_IF_ERROR(CheckQueries(inputs, spec, of_stage, facts.notes));
    facts.steps = inputs.Order().steps();
    for (const PlanInputs& set : inputs.sets) facts.trains_on.push_back(!set.queries.empty());
    NoteUnusedHardNegatives(inputs, spec, given, facts.notes);
    RETURN_IF_ERROR(CheckAllNegatives(inputs, spec, facts.notes));
    RETURN_IF_ERROR(CheckTeacher(inputs, spec, facts.notes));
    return std::make_shared<const TrainingFacts>(std::move(facts));
  };
  const std::string digests = absl::StrJoin(
      sets.datasets(), " ", [](std::string* out, const auto& dataset) { absl::StrAppend(out, dataset->digest()); });
  const std::string key = Sha256Hex(absl::StrCat(digests, " ", of_stage, " ",
                                                 spec.batch().queries(), " ", spec.loss().objective(), " ",
                                                 given.data().negatives().has_per_query(), " ",
                                                 spec.loss().has_distill(), " ",
                                                 DeterministicBytes(spec.loss().distill()), "\n",
                                                 DeterministicBytes(spec.data())));
  return stores.facts.Get(key, walk, [] { return absl::OkStatus(); });
}

// INVALID_ARGUMENT for a source that no training set has.
absl::Status CheckSourcesOf(const std::vector<std::shared_ptr<const Dataset>>& datasets, const JobSpec& spec) {
  std::vector<std::string> known;
  for (const auto& dataset : datasets) {
    for (const std::string& source : dataset->sources()) {
      if (std::find(known.begin(), known.end(), source) == known.end()) known.push_back(source);
    }
  }
  for (const std::string& source : spec.data().positives().sources()) {
    if (std::find(known.begin(), known.end(), source) != known.end()) continue;
    const std::string who = spec.data().sets().empty() ? absl::StrCat("dataset \"", spec.data().train(), "\" has")
                                                       : "no dataset of data.sets has";
    return WrongField("data.positives.sources",
                      absl::StrCat(who, spec.data().sets().empty() ? " no" : "", " judgments of source \"", source, "\". ",
                                   WhatExists(source, known)));
  }
  return absl::OkStatus();
}

// `spec` is a job without stages, or the separate job that trains as one of the stages does (SpecOfStage). Sets those elements
// of `trains_on` whose training sets it uses.
absl::StatusOr<muster::v1::ResolvedStage> ResolveStage(DataStores& stores, OpenedSets& sets, const JobSpec& spec,
                                                       const JobSpec& given, bool of_stage, std::vector<bool>& trains_on,
                                                       std::vector<std::string>& notes) {
  RETURN_IF_ERROR(CheckSourcesOf(sets.datasets(), spec));
  ASSIGN_OR_RETURN(const auto facts, FactsOf(stores, sets, spec, given, of_stage));
  notes.insert(notes.end(), facts->notes.begin(), facts->notes.end());
  for (size_t set = 0; set < trains_on.size(); ++set) trains_on[set] = trains_on[set] || facts->trains_on[set];
  muster::v1::ResolvedStage stage;
  stage.set_train_queries(facts->queries);
  stage.set_steps_per_epoch(facts->steps);
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
  ASSIGN_OR_RETURN(OpenedSets sets, OpenedSets::Open(stores, spec.data()));
  for (const auto& dataset : sets.datasets()) {
    if (spec.data().sets().empty()) {
      resolved.set_train_dataset(dataset->digest());
    } else {
      resolved.add_train_datasets(dataset->digest());
    }
  }
  uint64_t steps = 0;
  std::vector<bool> trains_on(sets.datasets().size());
  for (int i = 0; i < std::max(1, spec.stages_size()); ++i) {
    const std::string context = spec.stages().empty() ? "" : absl::StrCat("stages[", i, "]");
    std::vector<std::string> own_notes;
    const auto stage = ResolveStage(stores, sets, SpecOfStage(spec, i), given, !spec.stages().empty(), trains_on, own_notes);
    if (!stage.ok()) return context.empty() ? stage.status() : WithContext(stage.status(), context);
    for (const std::string& note : own_notes) notes.push_back(absl::StrCat(context, context.empty() ? "" : ": ", note));
    if (i == 0) {
      resolved.set_train_queries(stage->train_queries());
      resolved.set_steps_per_epoch(stage->steps_per_epoch());
    }
    if (!context.empty()) *resolved.add_stages() = *stage;
    steps += stage->steps();
  }
  const auto unused = std::find(trains_on.begin(), trains_on.end(), false);
  if (unused != trains_on.end()) {
    return WrongField(absl::StrCat("data.sets[", unused - trains_on.begin(), "]"),
                      "no stage has a positive of it that may be chosen. Remove it, or add a stage with its sources.");
  }
  resolved.set_total_steps(steps);
  return absl::OkStatus();
}

}  // namespace muster
