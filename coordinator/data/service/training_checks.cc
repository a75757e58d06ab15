#include "coordinator/data/service/training_checks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/training_sets.h"
#include "common/status.h"
#include "coordinator/data/plan/negatives.h"
#include "coordinator/data/plan/teacher_lists.h"
#include "coordinator/data/service/resolve_data.h"

namespace muster {
namespace {

using muster::v1::JobSpec;

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

bool HasHardNegative(const Dataset& dataset, uint32_t split) {
  const auto is_hard = [](const Judgment& judgment) { return judgment.hard_negative == kHardNegative; };
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    if (std::ranges::any_of(dataset.judgments(split, query), is_hard)) return true;
  }
  return false;
}

// "data.noise: of 1000 positives of split "train", 98 are replaced by random passages and 51 are dropped."
std::string NoiseNote(const NoiseCounts& counts, const muster::v1::DataSpec& data, size_t set) {
  const muster::v1::NoiseSpec& noise = data.noise();
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
  std::string text = absl::StrCat("data.noise: of ", counts.positives, " positives of ", NameOfSet(data, set), ", ");
  absl::StrAppend(&text, parts.empty() ? "all have an error in their grades" : absl::StrJoin(parts, ", "), ".");
  if (counts.not_replaceable > 0) {
    absl::StrAppend(&text, " ", counts.not_replaceable, " more ", counts.not_replaceable == 1 ? "is" : "are",
                    " kept, because no passage that is not relevant could replace ",
                    counts.not_replaceable == 1 ? "it." : "them.");
  }
  return text;
}

absl::Status CheckLabelNoise(const TrainingInputs& inputs, const JobSpec& spec, std::vector<std::string>& notes) {
  if (inputs.sets[0].rules.noise == nullptr) return absl::OkStatus();
  const auto has_hard_negative = [](const PlanInputs& own) { return HasHardNegative(*own.dataset, own.split); };
  if (spec.data().noise().hard_negatives() > 0 && std::ranges::none_of(inputs.sets, has_hard_negative)) {
    const std::string who = spec.data().sets().empty() ? absl::StrCat(NameOfSet(spec.data(), 0), " of dataset \"",
                                                                      spec.data().train(), "\" has no hard negatives")
                                                       : "no dataset of data.sets has hard negatives";
    return WrongField("data.noise.hard_negatives",
                      absl::StrCat(who, ". Import or mine some (docs/guides/mining.md), or use random_passages or "
                                        "other_positives."));
  }
  for (size_t set = 0; set < inputs.sets.size(); ++set) {
    const ChoiceRules& rules = inputs.sets[set].rules;
    const auto selects = [&](const Judgment& judgment) { return IsSelectable(judgment, rules); };
    notes.push_back(NoiseNote(rules.noise->Count(selects), spec.data(), set));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainingFacts> CheckTraining(const TrainingInputs& inputs, const JobSpec& spec, const JobSpec& given,
                                            bool of_stage) {
  TrainingFacts facts{.queries = inputs.DrawsPerEpoch()};
  RETURN_IF_ERROR(CheckQueries(inputs, spec, of_stage, facts.notes));
  facts.steps = inputs.Order().steps();
  for (const PlanInputs& set : inputs.sets) facts.trains_on.push_back(!set.queries.empty());
  RETURN_IF_ERROR(CheckLabelNoise(inputs, spec, facts.notes));
  NoteUnusedHardNegatives(inputs, spec, given, facts.notes);
  RETURN_IF_ERROR(CheckAllNegatives(inputs, spec, facts.notes));
  RETURN_IF_ERROR(CheckTeacher(inputs, spec, facts.notes));
  return facts;
}

}  // namespace muster
