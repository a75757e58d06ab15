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
#include "coordinator/data/plan/step_plan.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/service/training_checks.h"
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

// Caches the result, so that equal requests walk the splits' judgments once.
absl::StatusOr<std::shared_ptr<const TrainingFacts>> FactsOf(DataStores& stores, OpenedSets& sets, const JobSpec& spec,
                                                             const JobSpec& given, bool of_stage) {
  const auto walk = [&]() -> absl::StatusOr<std::shared_ptr<const TrainingFacts>> {
    ASSIGN_OR_RETURN(const std::shared_ptr<const TrainingTexts> texts, sets.Texts());
    ASSIGN_OR_RETURN(const TrainingInputs inputs, MakeTrainingInputs(texts, spec));
    ASSIGN_OR_RETURN(TrainingFacts facts, CheckTraining(inputs, spec, given, of_stage));
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
