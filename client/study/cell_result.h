// What a report needs of a cell's job. It names no job and no time: equal results give an equal report. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster {

struct CellResult {
  bool done = false;                                 // the job succeeded, and its model was measured
  std::string state = "not submitted";               // "succeeded", "failed", "cancelled", "not ended"
  std::map<std::string, double> trained, untrained;  // metric → value; `untrained` may be empty
  std::string dataset, split, digest;                // what was measured
  uint64_t queries = 0, documents = 0;
  // metric → value of each query, in the order of the evaluation; empty: the job has not stored them.
  std::map<std::string, std::vector<double>> by_query;
  std::string by_query_note;  // why they could not be read; a sentence; empty: they were, or there are none
  // What the jobs of an arm share, all seeds alike: the specification with its defaults, and the content that its names had.
  std::string settings;
};

CellResult ResultOf(const muster::v1::Job& job);

}  // namespace muster
