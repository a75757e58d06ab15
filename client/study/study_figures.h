// The figures of a study's report: means over seeds, and comparisons of arms. A pure function of the results: it neither knows
// nor depends on when jobs ran, and in which order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/study/cell_result.h"
#include "client/study/study_file.h"
#include "common/statistics/crossed.h"
#include "common/statistics/paired.h"

namespace muster {

struct StudyOptions {
  double level = 0.95;      // of intervals; differences are called at 1 - level for the whole study
  double power = 0.8;       // for `detectable` and `seeds_needed`; 0: neither is computed
  uint64_t flips = 20'000;  // of the randomization test over queries
};

// An arm's values of one metric.
struct ArmFigure {
  size_t metric = 0, arm = 0;
  std::vector<uint64_t> seeds;  // the seeds whose jobs are done
  std::vector<double> values;   // one per seed
  double mean = 0, deviation = 0;
  Interval interval;                   // Student's interval over seeds; without width for fewer than two
  std::optional<double> untrained;     // mean over the seeds that have it
  std::optional<double> noise_weight;  // mean of CellResult::noise_weight over the seeds that have it
};

enum class PairBasis {
  kNone,     // not tested: `verdict` says why
  kSeeds,    // one mean per seed; values by query are not known
  kCrossed,  // one value per seed and query
};

// Arm B against arm A for one metric, on the seeds that both have: the difference is B - A.
struct PairFigure {
  size_t metric = 0;
  StudyPair pair;
  PairBasis basis = PairBasis::kNone;
  size_t seeds = 0, queries = 0;  // queries: 0 unless kCrossed
  double mean = 0;
  Interval interval;
  double p = 1;                     // of the test that decides
  double p_holm = 1;                // corrected for all comparisons of the study
  double p_seeds = 1;               // of the paired t test over seeds
  std::optional<double> p_queries;  // of the randomization test over queries, each with its mean over seeds
  double effect = 0;            // mean in standard deviations: over queries if they are known, else over seeds; may be infinite
  Wins queries_won, seeds_won;  // by B
  // With the present queries: the smallest difference that this many seeds show, and how many seeds would show
  // StudyFile.difference. Nothing: no number of seeds would show it.
  double detectable = 0;
  std::optional<int64_t> seeds_needed;
  bool is_difference = false;
  std::string verdict;  // one sentence without its full stop
};

struct StudyFigures {
  std::vector<ArmFigure> arms;     // by metric, then arm; arms without a result are left out
  std::vector<PairFigure> pairs;   // by metric, then in the order of StudyFile.pairs
  size_t tests = 0;                // how many comparisons Holm's correction covers
  std::vector<std::string> notes;  // sentences about missing or inconsistent results
};

// `results`: one per cell of the study, in the study's order.
StudyFigures FiguresOf(const StudyFile& study, absl::Span<const CellResult> results, const StudyOptions& options = {});

// The text of a pair: "objective=jointlh", "objective=lsepair" and what both share, "per_query=4" (may be empty).
struct PairNames {
  std::string a, b, shared;
};
PairNames NamesOfPair(const StudyFile& study, const StudyPair& pair);

}  // namespace muster
