// A job inside another YAML file.
#pragma once

#include <yaml-cpp/node/node.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct JobOverride {
  std::string field;  // "loss.objective"
  YAML::Node value;   // null: as if the field were left out. A map replaces all of its section
};

// Reads a job whose keys are the nodes of a file `name`, and then the overrides, in order. Errors name file, line and field, as
// those of ParseJobFile do. Defaults are not filled in, but the result has been checked with them.
absl::StatusOr<muster::v1::JobSpec> ReadJobNode(const std::string& name, const YAML::Node& job,
                                                const std::vector<JobOverride>& overrides);

}  // namespace muster
