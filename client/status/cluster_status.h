// The text of `muster status`. Pure: commands/status.cc collects the facts.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/doctor/finding.h"
#include "client/job_list.h"
#include "muster/v1/cluster.pb.h"

namespace muster {

struct ClusterStatus {
  std::string address;  // of the coordinator
  muster::v1::GetClusterResponse cluster;
  muster::v1::ListWorkersResponse workers;
  muster::v1::ListQueuesResponse queues;
  JobsPage active;  // running ones before waiting ones
  JobsPage ended;   // the last to end first
  std::string own_version;
  absl::Time now;
};

// Present and expected problems, and what to do about them. Only warnings and problems.
Findings HintsOf(const ClusterStatus& status);

// One screen; lines of tables have at most `columns` columns (0: as many as they need). `wide`: exact times.
std::string StatusText(const ClusterStatus& status, int columns, bool wide);
nlohmann::ordered_json StatusJson(const ClusterStatus& status);

}  // namespace muster
