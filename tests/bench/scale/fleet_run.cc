#include "tests/bench/scale/fleet_run.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/rpc/errors.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"
#include "tests/bench/scale/job_mix.h"
#include "tests/bench/scale/liveness_probe.h"
#include "tests/bench/scale/server_process.h"
#include "tests/bench/scale/simulated_agents.h"
#include "tests/bench/scale/stand_in_data.h"

namespace muster::bench {
namespace {

using nlohmann::json;

absl::Duration Now() { return RealClock().Monotonic(); }
void Sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }
double Rounded(double value) { return std::round(value * 1000) / 1000; }

// Milliseconds at which `share` of the calls are done.
double Percentile(std::vector<double> times, double share) {
  if (times.empty()) return 0;
  std::sort(times.begin(), times.end());
  return Rounded(times[std::min(times.size() - 1, static_cast<size_t>(share * static_cast<double>(times.size())))]);
}

json Timed(const std::vector<double>& times) {
  return {{"calls", times.size()}, {"p50_ms", Percentile(times, 0.5)}, {"p99_ms", Percentile(times, 0.99)},
          {"max_ms", Percentile(times, 1)}};
}

absl::StatusOr<std::vector<double>> SubmitAll(const ServerProcess& coordinator, const FleetRun& run) {
  std::atomic<uint32_t> next = 0;
  std::vector<std::vector<double>> times(run.submitters);
  std::vector<absl::Status> statuses(run.submitters);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < run.submitters; ++i) {
    threads.emplace_back([&, i] {
      const auto stub = muster::v1::JobService::NewStub(coordinator.Channel());
      for (uint32_t number = next++; number < run.jobs && statuses[i].ok(); number = next++) {
        muster::v1::SubmitJobRequest request;
        *request.mutable_spec() = JobOfTheMix(number);
        request.set_request_id(absl::StrCat("bench-", number));
        muster::v1::SubmitJobResponse response;
        grpc::ClientContext context;
        const absl::Duration begin = Now();
        statuses[i] = FromGrpc(stub->SubmitJob(&context, request, &response));
        times[i].push_back(absl::ToDoubleMilliseconds(Now() - begin));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  for (uint32_t i = 0; i < run.submitters; ++i) {
    RETURN_IF_ERROR(statuses[i]);
    all.insert(all.end(), times[i].begin(), times[i].end());
  }
  return all;
}

// Lists active jobs every half second for this long.
std::vector<double> ListFor(const ServerProcess& coordinator, double seconds) {
  const auto stub = muster::v1::JobService::NewStub(coordinator.Channel());
  std::vector<double> times;
  for (const absl::Duration until = Now() + absl::Seconds(seconds); Now() < until; Sleep(0.5)) {
    muster::v1::ListJobsRequest request;
    request.set_active_only(true);
    muster::v1::ListJobsResponse response;
    grpc::ClientContext context;
    const absl::Duration begin = Now();
    if (stub->ListJobs(&context, request, &response).ok()) times.push_back(absl::ToDoubleMilliseconds(Now() - begin));
  }
  return times;
}

double CpuShareDuring(const ServerProcess& coordinator, const std::function<void()>& act) {
  const double before = coordinator.CpuSeconds();
  const absl::Duration begin = Now();
  act();
  return Rounded((coordinator.CpuSeconds() - before) / absl::ToDoubleSeconds(Now() - begin));
}

// Attempts that run: those with a rank on one of the first `silenced` workers, and the others.
struct Running {
  uint32_t own = 0, other = 0;
};
Running CountRunning(const AttemptsSeen& seen, uint32_t silenced) {
  Running running;
  for (const auto& [key, attempt] : seen) {
    if (attempt.ended) continue;
    ++(*attempt.workers.begin() < silenced ? running.own : running.other);
  }
  return running;
}

// Their state after the fault.
AttemptsSeen Those(const AttemptsSeen& before, const AttemptsSeen& now) {
  AttemptsSeen those;
  for (const auto& [key, attempt] : before) those[key] = now.at(key);
  return those;
}

json Seconds(absl::Duration duration) {
  return duration == absl::InfiniteDuration() ? json(nullptr) : json(Rounded(absl::ToDoubleSeconds(duration)));
}

absl::Status MeasureRestart(const FleetRun& run, ServerProcess& coordinator, SimulatedFleet& fleet, json& result) {
  const AttemptsSeen before = fleet.attempts();
  coordinator.Kill();
  fleet.ForgetWelcomes();
  const absl::Duration begin = Now();
  LivenessProbe liveness(coordinator.health_address());
  RETURN_IF_ERROR(coordinator.Start());
  const absl::Duration listens = Now() - begin;
  const absl::Duration welcomed = fleet.WaitForWelcomes(run.workers, absl::Seconds(run.restart_seconds));
  const double left = run.restart_seconds - absl::ToDoubleSeconds(Now() - begin);
  if (left > 0) Sleep(left);
  const uint32_t running = CountRunning(before, 0).other;
  result["restart"] = {{"listens_s", Seconds(listens)}, {"all_welcomed_s", Seconds(welcomed)},
                       {"welcomed", fleet.welcomed()},  {"attempts_running", running},
                       {"attempts_ended", running - CountRunning(Those(before, fleet.attempts()), 0).other},
                       {"liveness", liveness.Stop()}};
  return absl::OkStatus();
}

void MeasureSilence(const FleetRun& run, const ServerProcess& coordinator, SimulatedFleet& fleet, json& result) {
  const uint32_t silenced = run.workers / 10;
  const AttemptsSeen before = fleet.attempts();
  const auto lost = [&] {
    const absl::StatusOr<double> value = coordinator.Metric("muster_attempts_total{end=\"lost\"}");
    return value.ok() ? *value : 0;
  };
  const double lost_before = lost();
  LivenessProbe liveness(coordinator.health_address());
  fleet.Silence(silenced);
  std::vector<double> lists;
  const double share = CpuShareDuring(coordinator, [&] { lists = ListFor(coordinator, run.silence_seconds); });
  const Running at_first = CountRunning(before, silenced), at_last = CountRunning(Those(before, fleet.attempts()), silenced);
  const auto silences = coordinator.Metric("muster_worker_silences_total");
  result["silence"] = {{"workers", silenced},
                       {"silences", silences.ok() ? json(*silences) : json(nullptr)},
                       {"attempts_on_silent_workers", at_first.own},
                       {"attempts_lost", lost() - lost_before},
                       {"other_attempts_ended", at_first.other - at_last.other},
                       {"cpu_share", share},
                       {"list", Timed(lists)},
                       {"liveness", liveness.Stop()}};
}

}  // namespace

absl::StatusOr<json> MeasureFleet(const FleetRun& run) {
  ASSIGN_OR_RETURN(const std::unique_ptr<StandInData> data, StandInData::Start());
  ServerProcess coordinator({run.coordinator, run.folder, ServerProcess::ArgumentsOfCoordinator(data->address())});
  RETURN_IF_ERROR(coordinator.Start());
  FleetOptions options{.workers = run.workers, .slots = run.slots};
  if (run.progress_seconds > 0) options.progress_every = absl::Seconds(run.progress_seconds);
  SimulatedFleet fleet(options);
  json result = {{"workers", run.workers}, {"jobs", run.jobs}, {"queued_first", run.queued_first}};
  const auto connect = [&] {
    fleet.ForgetWelcomes();
    fleet.ConnectTo(coordinator.address());
    result["all_connected_s"] = Seconds(fleet.WaitForWelcomes(run.workers, absl::Seconds(60)));
    result["connected"] = fleet.welcomed();
  };
  if (!run.queued_first) connect();
  const absl::Duration begin = Now();
  ASSIGN_OR_RETURN(const std::vector<double> submits, SubmitAll(coordinator, run));
  result["submit"] = Timed(submits);
  result["submit"]["per_second"] = Rounded(run.jobs / absl::ToDoubleSeconds(Now() - begin));
  if (run.queued_first) connect();
  size_t attempts = 0;  // until the cluster is full
  do {
    attempts = fleet.attempts().size();
    Sleep(1);
  } while (fleet.attempts().size() != attempts);
  result["attempts"] = attempts;
  Sleep(1);
  result["rest_cpu_share"] = CpuShareDuring(coordinator, [&] { Sleep(run.rest_seconds); });
  result["list_at_rest"] = Timed(ListFor(coordinator, 2));
  result["resident_mib"] = Rounded(coordinator.ResidentMiB());
  if (run.restart) RETURN_IF_ERROR(MeasureRestart(run, coordinator, fleet, result));
  if (run.silence) MeasureSilence(run, coordinator, fleet, result);
  return result;
}

}  // namespace muster::bench
