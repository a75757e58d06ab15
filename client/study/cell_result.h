// The part of a cell's job that a report needs. It names no job and no time: equal results give an equal report. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster {

struct CellResult {
  bool done = false;                                 // the job succeeded, and its model was measured
  std::string state = "not submitted";               // "succeeded", "failed", "cancelled", "not ended"
  std::map<std::string, double> trained, untrained;  // metric → value; `untrained` may be empty
  std::string dataset, split, digest;                // the dataset that was measured
  uint64_t queries = 0, documents = 0;
  // metric → value of each query, in the order of the evaluation; empty: the job has not stored them.
  std::map<std::string, std::vector<double>> by_query;
  std::string by_query_note;  // a sentence that says why `by_query` could not be read; empty: it was read, or does not exist
  // With data.noise: the share of the gradient over positives that fell on injected false ones, mean over the last half of the
  // steps. Absent without noise, or if the step log does not have it.
  std::optional<double> noise_weight;
  // The settings that an arm's jobs of all seeds have in common: the specification with its defaults, and the content that
  // its names referred to.
  std::string settings;
};

CellResult ResultOf(const muster::v1::Job& job);

// CellResult::noise_weight from a job's step log.
std::optional<double> NoiseWeightOf(const std::string& step_log);

}  // namespace muster
