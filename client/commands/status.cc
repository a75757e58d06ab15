// muster status
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/call.h"
#include "client/commands/commands.h"
#include "client/list_table.h"
#include "client/status/cluster_status.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "muster/v1/cluster.grpc.pb.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::ClusterService;
using muster::v1::JobService;

constexpr size_t kActiveShown = 10;
constexpr size_t kEndedShown = 5;
constexpr size_t kEndedRead = 50;  // newest submissions: the last to end are among them, unless they ran for very long

// Running jobs first, then waiting jobs.
absl::StatusOr<JobsPage> ListActive(JobService::Stub& stub) {
  muster::v1::ListJobsRequest running, waiting;
  for (const auto phase : {muster::v1::JOB_PHASE_TRAINING, muster::v1::JOB_PHASE_STARTING, muster::v1::JOB_PHASE_RESERVING,
                           muster::v1::JOB_PHASE_RECOVERING}) {
    running.add_phases(phase);
  }
  for (const auto phase : {muster::v1::JOB_PHASE_QUEUED, muster::v1::JOB_PHASE_PAUSED}) waiting.add_phases(phase);
  ASSIGN_OR_RETURN(JobsPage page, ListJobs(stub, running, kActiveShown));
  ASSIGN_OR_RETURN(JobsPage more, ListJobs(stub, waiting, kActiveShown));
  std::move(more.jobs.begin(), more.jobs.end(), std::back_inserter(page.jobs));
  page.more = page.more || more.more || page.jobs.size() > kActiveShown;
  if (page.jobs.size() > kActiveShown) page.jobs.resize(kActiveShown);
  return page;
}

absl::StatusOr<JobsPage> ListEnded(JobService::Stub& stub) {
  muster::v1::ListJobsRequest request;
  for (const auto phase :
       {muster::v1::JOB_PHASE_SUCCEEDED, muster::v1::JOB_PHASE_FAILED, muster::v1::JOB_PHASE_CANCELLED}) {
    request.add_phases(phase);
  }
  ASSIGN_OR_RETURN(JobsPage page, ListJobs(stub, request, kEndedRead));
  std::stable_sort(page.jobs.begin(), page.jobs.end(),
                   [](const auto& a, const auto& b) { return a.ended().seconds() > b.ended().seconds(); });
  page.more = page.more || page.jobs.size() > kEndedShown;
  if (page.jobs.size() > kEndedShown) page.jobs.resize(kEndedShown);
  return page;
}

absl::StatusOr<ClusterStatus> Collect(const Connection& connection) {
  ClusterStatus status;
  status.address = connection.address();
  status.own_version = MUSTER_VERSION;
  const auto cluster = ClusterService::NewStub(connection.coordinator());
  ASSIGN_OR_RETURN(status.cluster, Call(*cluster, &ClusterService::Stub::GetCluster, muster::v1::GetClusterRequest()));
  ASSIGN_OR_RETURN(status.workers, CallAllPages(*cluster, &ClusterService::Stub::ListWorkers, muster::v1::ListWorkersRequest()));
  ASSIGN_OR_RETURN(status.queues, CallAllPages(*cluster, &ClusterService::Stub::ListQueues, muster::v1::ListQueuesRequest()));
  const auto jobs = JobService::NewStub(connection.coordinator());
  ASSIGN_OR_RETURN(status.active, ListActive(*jobs));
  ASSIGN_OR_RETURN(status.ended, ListEnded(*jobs));
  // Uses the coordinator's clock, which set the times of jobs and workers.
  status.now = status.cluster.has_time() ? absl::FromUnixSeconds(status.cluster.time().seconds()) : RealClock().Now();
  return status;
}

absl::StatusOr<int> Status(const Cli& cli, bool wide) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto status = Collect(connection);
  if (!status.ok()) return WithContext(status.status(), "status");
  const bool table = cli.output == OutputFormat::kTable;
  std::printf("%s", table ? StatusText(*status, wide ? 0 : ColumnsOfTerminal(stdout), wide).c_str()
                          : Format(StatusJson(*status), cli.output).c_str());
  return kExitSucceeded;
}

}  // namespace

void AddStatusCommand(CLI::App& app, Cli& cli) {
  auto wide = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("status", "Show the cluster and its jobs on one screen")->fallthrough();
  AddWideFlag(*command, cli, *wide);
  command->callback([&cli, wide] { cli.action = [&cli, wide] { return Status(cli, *wide); }; });
}

}  // namespace muster
