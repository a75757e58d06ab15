// muster-scale-bench: what a coordinator costs with many workers and jobs.
//
//   muster-scale-bench core                   the pure core: microseconds per event, bytes per waiting job
//   muster-scale-bench journal                what attempts of a wide job write, and the restart after them
//   muster-scale-bench start                  the start of a coordinator that remembers many jobs, by their history
//   muster-scale-bench placement              how much of a cluster jobs use, with and without backfill
//   muster-scale-bench fleet --workers 1000   a real coordinator, under simulated agents over gRPC on loopback
//   muster-scale-bench garbage                garbage collection, through a real coordinator and a real data server
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "common/files.h"
#include "common/rpc/grpc_setup.h"
#include "tests/bench/scale/core_cost.h"
#include "tests/bench/scale/fleet_run.h"
#include "tests/bench/scale/garbage_run.h"
#include "tests/bench/scale/journal_cost.h"
#include "tests/bench/scale/placement_run.h"

namespace muster::bench {
namespace {

void PrintCore(const std::vector<uint32_t>& workers, const std::vector<uint32_t>& jobs, uint32_t repeats) {
  std::printf("| workers | jobs | running | bytes per waiting job | microseconds per event (of the plan after it) |\n");
  std::printf("|---|---|---|---|---|\n");
  for (const uint32_t some_workers : workers) {
    for (const uint32_t some_jobs : jobs) {
      const CoreCosts costs = MeasureCore(some_workers, some_jobs, repeats);
      std::printf("| %u | %u | %u | %.0f |", costs.workers, costs.jobs, costs.running, costs.bytes_per_waiting_job);
      for (const EventCost& cost : costs.events) {
        std::printf(" %s %.1f", cost.event.c_str(), cost.microseconds);
        if (cost.plan_microseconds > 0) std::printf(" (%.1f)", cost.plan_microseconds);
      }
      std::printf(" |\n");
      std::fflush(stdout);
    }
  }
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "muster-scale-bench: %s\n", std::string(status.message()).c_str());
  return 1;
}

int PrintStarts(uint32_t jobs, uint32_t long_jobs, const std::vector<uint32_t>& attempts) {
  std::printf("| ended jobs | of them with more than one attempt | attempts of each of those | MiB written | MiB stored | "
              "ms of the next start |\n|---|---|---|---|---|---|\n");
  for (const uint32_t some_attempts : attempts) {
    const absl::StatusOr<StartCosts> costs = MeasureStart(jobs, long_jobs, some_attempts);
    if (!costs.ok()) return Fail(costs.status());
    std::printf("| %u | %u | %u | %.1f | %.1f | %.0f |\n", costs->jobs, some_attempts > 0 ? costs->long_jobs : 0,
                costs->attempts + 1, costs->written_mib, costs->stored_mib, costs->start_milliseconds);
    std::fflush(stdout);
  }
  return 0;
}

int PrintJournal(const std::vector<uint32_t>& ranks, const std::vector<uint32_t>& attempts) {
  std::printf("| ranks | attempts | bytes of records per attempt | per rank | bytes of rows per attempt | ms per attempt | "
              "ms of the next start |\n|---|---|---|---|---|---|---|\n");
  for (const uint32_t some_ranks : ranks) {
    for (const uint32_t some_attempts : attempts) {
      const absl::StatusOr<JournalCosts> costs = MeasureJournal(some_ranks, some_attempts);
      if (!costs.ok()) return Fail(costs.status());
      std::printf("| %u | %u | %.0f | %.0f | %.0f | %.1f | %.1f |\n", some_ranks, some_attempts, costs->entry_bytes,
                  costs->entry_bytes / some_ranks, costs->item_bytes, costs->attempt_milliseconds,
                  costs->restart_milliseconds);
      std::fflush(stdout);
    }
  }
  return 0;
}

void PrintPlacement(const PlacementRun& run) {
  std::printf("| rule | slots used | mean wait, minutes | of jobs of 8 slots and more | started ahead | us per plan |\n");
  std::printf("|---|---|---|---|---|---|\n");
  for (const PlacementFigures& figures : MeasurePlacement(run)) {
    std::printf("| %s | %.1f%% | %.1f | %.1f | %.0f%% | %.0f |\n", figures.rule.c_str(), 100 * figures.utilization,
                figures.mean_wait_minutes, figures.wide_wait_minutes, 100 * figures.ahead_share, figures.plan_microseconds);
    std::fflush(stdout);
  }
}

// Runs it in a new scratch folder, which stays after an error, with the logs of the servers.
template <typename Run>
int PrintRun(absl::StatusOr<nlohmann::json> (*measure)(const Run&), Run run) {
  const absl::StatusOr<std::filesystem::path> folder =
      MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-scale-bench");
  if (!folder.ok()) return Fail(folder.status());
  run.folder = *folder;
  const absl::StatusOr<nlohmann::json> result = measure(run);
  if (!result.ok()) return Fail(result.status());
  std::printf("%s\n", result->dump(1).c_str());
  std::error_code error;
  std::filesystem::remove_all(run.folder, error);
  return 0;
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;  // a connection per agent; the coordinator inherits it
  setrlimit(RLIMIT_NOFILE, &files);

  muster::SetUpGrpc();
  CLI::App app{"What a coordinator costs with many workers and jobs."};
  app.require_subcommand(1);
  std::vector<uint32_t> workers = {100, 1000}, jobs = {1000, 20000};
  uint32_t repeats = 200;
  CLI::App* core = app.add_subcommand("core", "The pure core: microseconds per event");
  core->add_option("--workers", workers, "Numbers of workers, of 8 slots each")->delimiter(',')->capture_default_str();
  core->add_option("--jobs", jobs, "Numbers of jobs, of 1 to 16 slots")->delimiter(',')->capture_default_str();
  core->add_option("--repeats", repeats, "Events of each kind")->capture_default_str();

  std::vector<uint32_t> ranks = {8, 64, 512}, attempts = {10, 100};
  CLI::App* journal = app.add_subcommand("journal", "What attempts of one wide job write");
  journal->add_option("--ranks", ranks, "Numbers of ranks")->delimiter(',')->capture_default_str();
  journal->add_option("--attempts", attempts, "Numbers of attempts")->delimiter(',')->capture_default_str();
  uint32_t ended = 20000, long_jobs = 200;
  std::vector<uint32_t> failed = {0, 10, 100};
  CLI::App* start = app.add_subcommand("start", "A start of a coordinator that remembers many jobs");
  start->add_option("--ended", ended, "Jobs that have ended, of 8 ranks each")->capture_default_str();
  start->add_option("--long", long_jobs, "How many of them failed before")->capture_default_str();
  start->add_option("--failed", failed, "Failed attempts of each of those")->delimiter(',')->capture_default_str();

  muster::bench::PlacementRun placement_run;
  CLI::App* placement = app.add_subcommand("placement", "Queues in simulated time, with and without backfill");
  placement->add_option("--workers", placement_run.workers, "Of 8 slots each")->capture_default_str();
  placement->add_option("--jobs", placement_run.jobs, "Of each queue, of 1 to 16 slots")->capture_default_str();
  placement->add_option("--queues", placement_run.queues, "Whose figures are averaged")->capture_default_str();
  placement->add_option("--load", placement_run.load, "Work that arrives, as a share of what the cluster can do")
      ->capture_default_str();
  placement->add_option("--seed", placement_run.seed, "Of the queues")->capture_default_str();

  muster::bench::FleetRun run;
  run.coordinator = std::filesystem::path(argv[0]).parent_path() / "muster-coordinator";
  CLI::App* fleet = app.add_subcommand("fleet", "A real coordinator, under simulated agents over gRPC");
  fleet->add_option("--coordinator", run.coordinator, "The program")->capture_default_str();
  fleet->add_option("--workers", run.workers, "Agents, each with its own session")->capture_default_str();
  fleet->add_option("--slots", run.slots, "Of each worker")->capture_default_str();
  fleet->add_option("--jobs", run.jobs, "Jobs, of 1 to 16 slots")->capture_default_str();
  fleet->add_option("--submitters", run.submitters, "Submits at once")->capture_default_str();
  fleet->add_option("--rest", run.rest_seconds, "Seconds with only heartbeats")->capture_default_str();
  fleet->add_option("--progress", run.progress_seconds, "Seconds between reports of progress; 0: none")->capture_default_str();
  fleet->add_flag("--queued-first", run.queued_first, "Submit all jobs before any agent connects");
  fleet->add_flag("!--no-silence", run.silence, "Leave out 10% of the workers falling silent");
  fleet->add_flag("!--no-restart", run.restart, "Leave out SIGKILL and restart");

  muster::bench::GarbageRun garbage_run;
  garbage_run.coordinator = run.coordinator;
  garbage_run.data = std::filesystem::path(argv[0]).parent_path() / "muster-data";
  CLI::App* garbage = app.add_subcommand("garbage", "Garbage collection through a real coordinator and a real data server");
  garbage->add_option("--coordinator", garbage_run.coordinator, "The program")->capture_default_str();
  garbage->add_option("--data", garbage_run.data, "The program")->capture_default_str();
  garbage->add_option("--blobs", garbage_run.blobs, "Blobs that the data server stores")->capture_default_str();
  garbage->add_option("--roots", garbage_run.roots, "Of them, manifests that jobs refer to")->capture_default_str();
  garbage->add_option("--jobs", garbage_run.jobs, "Jobs that have ended and refer to them")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (core->parsed()) {
    muster::bench::PrintCore(workers, jobs, repeats);
    return 0;
  }
  if (journal->parsed()) return muster::bench::PrintJournal(ranks, attempts);
  if (placement->parsed()) {
    muster::bench::PrintPlacement(placement_run);
    return 0;
  }
  if (start->parsed()) return muster::bench::PrintStarts(ended, long_jobs, failed);
  if (garbage->parsed()) return muster::bench::PrintRun(muster::bench::MeasureGarbage, std::move(garbage_run));
  return muster::bench::PrintRun(muster::bench::MeasureFleet, std::move(run));
}
