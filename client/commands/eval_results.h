// The results of `muster eval`: a table or JSON, intervals of the means, and a folder of files.
#pragma once

#include <grpcpp/channel.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/query_values.h"
#include "common/statistics/summary.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct EvaluatedJob {
  muster::v1::Job job;                        // ended
  std::optional<QueryValues> values;          // nothing: not read, or the job has none
  std::map<std::string, Interval> intervals;  // metric → 95% interval of its mean, as `muster score` gives; may be empty
};

// What the job measured; null if it failed or was canceled before it measured anything.
const muster::v1::Evaluation* MeasuredBy(const muster::v1::Job& job);

// Reads the values of the jobs that succeeded, and computes intervals from them. Notes say where there are none.
absl::Status ReadValues(const std::shared_ptr<grpc::Channel>& data, std::vector<EvaluatedJob>& jobs,
                        std::vector<std::string>& notes);

// One row per dataset, and the means over the datasets if there are several.
std::string EvaluationTable(const std::vector<EvaluatedJob>& jobs);
// One row per metric and dataset, like those of `muster score`; "" without intervals.
std::string IntervalTable(const std::vector<EvaluatedJob>& jobs);
// {metric: {low, high}}
nlohmann::ordered_json IntervalsJson(const EvaluatedJob& job);
nlohmann::ordered_json EvaluationsJson(const std::string& model, const std::vector<EvaluatedJob>& jobs);

// Writes a new folder, completely or not at all: summary.json, summary.csv, and per dataset DATASET/SPLIT/queries.csv and, of
// jobs with report.run_depth, DATASET/SPLIT/run.trec. `target`: a result of NewFolderTarget.
absl::Status WriteEvaluations(const std::shared_ptr<grpc::Channel>& data, const std::filesystem::path& target,
                              const std::string& model, const std::vector<EvaluatedJob>& jobs, std::vector<std::string>& notes);

}  // namespace muster
