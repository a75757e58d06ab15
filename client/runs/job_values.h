// Values by query that jobs have stored, as runs to compare. Only jobs that measured the same queries by the same rule can be
// compared.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/query_values.h"
#include "common/retrieval/judged_run.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct JobValues {
  muster::v1::Job job;
  QueryValues values;
};

// The jobs by id, name, or the beginning of an id, in this order. FAILED_PRECONDITION: one has stored no values, and why.
// INVALID_ARGUMENT: one is given twice.
absl::StatusOr<std::vector<JobValues>> FetchJobValues(const Connection& connection, const std::vector<std::string>& given);

// INVALID_ARGUMENT names both jobs and what differs: the dataset, its content, the split, ignore_identical_ids, or the queries.
absl::Status CheckSameQueries(const JobValues& a, const JobValues& b);

// The values of the metrics, [metric][query], with the queries' numbers as their ids. INVALID_ARGUMENT: the job has not
// measured one of them.
absl::StatusOr<JudgedRun> RunOf(const JobValues& job, const std::vector<std::string>& metrics);

// "first (k3v9x0qa)"
std::string JobLabel(const muster::v1::Job& job);

}  // namespace muster
