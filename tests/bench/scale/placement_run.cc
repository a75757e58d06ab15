#include "tests/bench/scale/placement_run.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/random.h"
#include "coordinator/core/run_time.h"
#include "coordinator/core/testing/queue_simulation.h"
#include "tests/bench/scale/job_mix.h"

namespace muster::bench {
namespace {

constexpr uint32_t kSlots = 8;
constexpr uint32_t kWide = 8;  // jobs of at least this many slots count as wide

std::vector<WorkerSlots> Workers(uint32_t count) {
  std::vector<WorkerSlots> workers(count);
  for (uint32_t i = 0; i < count; ++i) {
    workers[i].name = absl::StrCat("w", i);
    workers[i].device = muster::v1::DEVICE_CPU;
    workers[i].total = kSlots;
    workers[i].protocol = 1;
    for (uint32_t slot = 0; slot < kSlots; ++slot) workers[i].free.push_back(slot);
  }
  return workers;
}

// Widths of the mix; run times log-normal around 20 minutes; arrivals at random, so that they request the share `load` of the
// cluster.
std::vector<SimulatedJob> Jobs(const PlacementRun& run, uint64_t seed, double known) {
  CounterRandom random(MixKey(run.seed, seed));
  std::vector<SimulatedJob> jobs(run.jobs);
  double now = 0;
  for (uint32_t i = 0; i < run.jobs; ++i) {
    SimulatedJob& job = jobs[i];
    job.id = absl::StrCat("j", i);
    job.shape = {muster::v1::DEVICE_CPU, JobOfTheMix(MixKey(seed, i)).resources().slots().min(), 1};
    job.max = job.shape.min;
    const double normal =
        std::sqrt(-2 * std::log(1 - random.Uniform())) * std::cos(2 * 3.14159265358979 * random.Uniform());
    job.slot_seconds = job.shape.min * 1200 * std::exp(normal);
    job.arrival = absl::Seconds(static_cast<int64_t>(now));
    now += job.slot_seconds / (run.load * run.workers * kSlots);
    job.known_before = random.Uniform() < known;
    job.known_running = true;
    job.earlier = 1 - kFaster;
    job.later = kSlower - 1;
    job.reports_after = absl::Seconds(60);
  }
  return jobs;
}

PlacementFigures Measure(const PlacementRun& run, const std::string& rule, bool backfill, double known) {
  PlacementFigures figures{.rule = rule};
  uint64_t plans = 0;
  absl::Duration spent;
  for (uint32_t i = 0; i < run.queues; ++i) {
    QueueSimulation simulation(Workers(run.workers), Jobs(run, i, known), backfill);
    const absl::Duration begin = RealClock().Monotonic();
    const SimulationResult result = simulation.Run([&](const QueueSimulation::Moment&) { ++plans; });
    spent += RealClock().Monotonic() - begin;
    double wide = 0, wide_wait = 0;
    for (const SimulatedRun& done : result.runs) {
      if (done.ranks < kWide) continue;
      wide += 1;
      wide_wait += absl::ToDoubleMinutes(done.start - QueueSimulation::Begin() - simulation.job(done.job).arrival);
    }
    figures.utilization += result.utilization / run.queues;
    figures.mean_wait_minutes += absl::ToDoubleMinutes(result.mean_wait) / run.queues;
    if (wide > 0) figures.wide_wait_minutes += wide_wait / wide / run.queues;
    figures.ahead_share += static_cast<double>(result.ahead) / run.jobs / run.queues;
  }
  if (plans > 0) figures.plan_microseconds = absl::ToDoubleMicroseconds(spent) / static_cast<double>(plans);
  return figures;
}

}  // namespace

std::vector<PlacementFigures> MeasurePlacement(const PlacementRun& run) {
  return {Measure(run, "no backfill", false, 0), Measure(run, "backfill, no time is known before a start", true, 0),
          Measure(run, "backfill, the time of 50% of the jobs is known", true, 0.5),
          Measure(run, "backfill, the time of all jobs is known", true, 1)};
}

}  // namespace muster::bench
