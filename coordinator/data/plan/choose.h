// Chooses which of its judged passages a query brings to a step: a pure function of (seed, epoch, query).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/label_noise.h"
#include "muster/v1/job.pb.h"

namespace muster {

// The relevant part of a specification, with names turned into indices of the dataset.
struct ChoiceRules {
  uint64_t seed = 0;
  uint32_t positives_per_query = 0;  // 0: all
  muster::v1::Choose choose_positives = muster::v1::CHOOSE_RANDOM;
  std::vector<bool> sources;  // by index of the dataset's sources; empty: all
  float min_grade = 0;        // grades of 0 are never selected
  bool draw_one = false;      // rand1lh: one positive, uniformly, whatever the two fields above say
  uint32_t negatives_per_query = 0;
  muster::v1::Choose choose_negatives = muster::v1::CHOOSE_RANDOM;
  bool distill = false;  // a teacher's scores are used
  std::shared_ptr<const LabelNoise> noise;  // changes what is read; null: nothing does
};
// A source that the dataset lacks selects nothing.
ChoiceRules PositiveRules(const Dataset& dataset, const muster::v1::DataSpec& data);
// All of the rules. A source that the dataset lacks selects nothing.
ChoiceRules RulesOf(const Dataset& dataset, const muster::v1::JobSpec& spec);
// INVALID_ARGUMENT if a source is named that none of the datasets has.
absl::Status CheckSources(std::span<const Dataset* const> datasets, const muster::v1::PositivesSpec& positives);
// Both of them, for one dataset.
absl::StatusOr<ChoiceRules> MakeChoiceRules(const Dataset& dataset, const muster::v1::JobSpec& spec);

// Whether a judgment lets its passage be selected as a positive.
bool IsSelectable(const Judgment& judgment, const ChoiceRules& rules);

// The judgments of a query that training reads: the dataset's own, or the view of rules.noise.
TrainingJudgments ReadJudgments(const Dataset& dataset, uint32_t split, uint32_t query, const ChoiceRules& rules);

// The judgments of a query by passage, so that equal texts under several ids are one. All in the order of the files.
struct PassagesOfQuery {
  struct Positive {
    uint32_t passage;
    float grade;  // the highest of the judgments that let it be selected
  };
  std::vector<Positive> selectable;
  std::vector<uint32_t> relevant;   // judged relevant by any source, whatever the grade above 0: never a negative
  // Hard negatives that are not relevant. With rules.distill also ignored passages that a teacher scored: if a query brings
  // them, the objective ignores them, because they are also in `relevant`.
  std::vector<uint32_t> negatives;
  struct Scored {
    uint32_t passage;
    float score;  // the first of the judgments that have one
  };
  std::vector<Scored> scored;  // by a teacher, in ascending order of passages
  std::optional<float> ScoreOf(uint32_t passage) const;
};
// `scores`: a teacher's, one per judgment; empty: there are no scores.
PassagesOfQuery JudgedPassages(std::span<const Judgment> judgments, const ChoiceRules& rules,
                               std::span<const float> scores = {});

// True if JudgedPassages gives a selectable positive, without making it.
bool HasSelectablePositive(std::span<const Judgment> judgments, const ChoiceRules& rules);

struct Choice {
  std::vector<PassagesOfQuery::Positive> positives;  // not empty if there is a selectable one
  std::vector<uint32_t> negatives;                    // passages
};
Choice ChoosePassages(const PassagesOfQuery& judged, const ChoiceRules& rules, uint64_t epoch, uint32_t query);

}  // namespace muster
