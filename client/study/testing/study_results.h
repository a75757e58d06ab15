// Studies and results for tests.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "client/study/cell_result.h"
#include "client/study/study_file.h"
#include "common/random.h"
#include "common/statistics/testing/populations.h"

namespace muster {

// `lines`: what follows base and study, such as "grid: …\nseeds: 5\n".
inline std::string StudyText(const std::string& lines) {
  return "study: pilot\n"
         "base:\n"
         "  model: {from: minilm}\n"
         "  data: {train: scifact}\n"
         "  duration: {epochs: 1}\n"
         "  report: {dataset: scifact}\n" +
         lines;
}

// Standard deviations of the parts of a value, except the part of the query, which all arms share.
struct Spread {
  double seed = 0.005, arm_query = 0.1, residual = 0.15;
};

inline CellResult MeasuredCell(std::vector<double> by_query) {
  CellResult result;
  result.done = true;
  result.state = "succeeded";
  result.dataset = "scifact";
  result.split = "test";
  result.digest = "d1";
  result.settings = "s";
  result.queries = by_query.size();
  result.documents = 1000;
  double sum = 0;
  for (const double value : by_query) sum += value;
  result.trained["ndcg@10"] = sum / static_cast<double>(by_query.size());
  result.untrained["ndcg@10"] = 0.25;
  result.by_query["ndcg@10"] = std::move(by_query);
  return result;
}

// Results of all cells; `means`: one per arm.
inline std::vector<CellResult> DrawResults(const StudyFile& study, const std::vector<double>& means, int queries,
                                           const Spread& spread, CounterRandom& random) {
  std::vector<double> hardness;
  for (int q = 0; q < queries; ++q) hardness.push_back(0.2 * DrawNormal(random));
  std::vector<CellResult> results;
  for (const double mean : means) {
    std::vector<double> own;
    for (int q = 0; q < queries; ++q) own.push_back(hardness[q] + spread.arm_query * DrawNormal(random));
    for (size_t s = 0; s < study.seeds.size(); ++s) {
      const double of_seed = mean + spread.seed * DrawNormal(random);
      std::vector<double> values;
      for (int q = 0; q < queries; ++q) values.push_back(of_seed + own[q] + spread.residual * DrawNormal(random));
      results.push_back(MeasuredCell(std::move(values)));
    }
  }
  return results;
}

}  // namespace muster
