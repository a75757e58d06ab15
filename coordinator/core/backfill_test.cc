// Laws of backfill, in random queues on random clusters. Each queue has a seed; a failure prints it:
//   MUSTER_BACKFILL_SEED=17 MUSTER_BACKFILL_QUEUES=1 coordinator_backfill_test
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/reservation.h"
#include "coordinator/core/testing/queue_simulation.h"

namespace muster {
namespace {

constexpr muster::v1::Device kGpu = muster::v1::DEVICE_GPU;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

struct RandomQueue {
  std::vector<WorkerSlots> workers;
  std::vector<SimulatedJob> jobs;
};

RandomQueue QueueOf(uint64_t seed) {
  CounterRandom random(MixKey(seed, 1));
  const auto coin = [&](uint64_t of) { return random.Below(of) == 0; };
  RandomQueue queue;
  const uint32_t protocols = coin(4) ? 2 : 1;
  const uint32_t most_slots = coin(2) ? 4 : 8;
  const uint64_t workers = 1 + random.Below(5);
  for (uint64_t i = 0; i < workers; ++i) {
    WorkerSlots worker;
    worker.name = absl::StrCat("w", i);
    worker.device = kGpu;
    worker.total = coin(2) ? most_slots : 1 + static_cast<uint32_t>(random.Below(most_slots));
    worker.protocol = 1 + static_cast<uint32_t>(random.Below(protocols));
    worker.out = coin(6);
    for (uint32_t slot = 0; slot < worker.total && !worker.out; ++slot) worker.free.push_back(slot);
    if (worker.out) worker.withheld = worker.total;
    queue.workers.push_back(worker);
  }
  const bool exact = coin(2), all_known = coin(3), elastic = coin(2), narrow = coin(3);
  const uint64_t jobs = 3 + random.Below(22);
  for (uint64_t i = 0; i < jobs; ++i) {
    SimulatedJob job;
    job.id = absl::StrCat("j", i);
    job.arrival = absl::Seconds(coin(3) ? 0 : random.Below(300));
    job.priority = coin(5) ? static_cast<int32_t>(random.Below(3)) : 0;
    const uint32_t widest = coin(3) ? 20 : narrow ? 3 : 8;
    job.shape = {kGpu, 1 + static_cast<uint32_t>(random.Below(widest)), 1 + static_cast<uint32_t>(random.Below(protocols))};
    job.max = job.shape.min + (elastic && coin(2) ? static_cast<uint32_t>(random.Below(8)) : 0);
    job.slot_seconds = static_cast<double>(job.shape.min * (1 + random.Below(coin(3) ? 1000 : 60)));
    job.known_before = all_known || coin(2);
    job.known_running = all_known || !coin(3);
    job.counted = !coin(20);
    if (!exact) job.earlier = 0.5 * random.Uniform();
    if (!exact) job.later = 0.5 * random.Uniform();
    if (coin(3)) job.reports_after = absl::Seconds(random.Below(50));
    queue.jobs.push_back(job);
  }
  return queue;
}

// When the job would start, and on how many ranks, if only the jobs that run now ran before it.
struct Promise {
  std::string job;
  absl::Time start = absl::InfiniteFuture();
  uint32_t ranks = 0;
};

Promise PromiseOf(const SimulatedJob& job, const QueueSimulation::Moment& moment) {
  Promise promise{.job = job.id};
  std::map<WorkerGroup, uint32_t> free, usable;
  for (const auto& [name, worker] : moment.cluster.workers()) {
    free[{worker.device, worker.protocol}] += static_cast<uint32_t>(worker.free.size());
    if (!worker.out) usable[{worker.device, worker.protocol}] += worker.total;
  }
  std::multimap<absl::Time, const SimulatedRun*> ends;
  for (const auto& [id, run] : moment.running) {
    if (run.ahead && run.start == moment.now) {  // this plan put it ahead, after the promise was made
      free[run.group] += run.ranks;
    } else {
      ends.insert({run.end, &run});
    }
  }
  for (const auto& [group, count] : free) {
    if (group.second < job.shape.protocol || usable[group] < job.shape.min) continue;
    uint32_t now_free = count;
    absl::Time start = moment.now;
    for (auto next = ends.begin(); next != ends.end() && (now_free < job.shape.min || next->first == start); ++next) {
      if (next->second->group != group) continue;
      now_free += next->second->ranks;
      start = next->first;
    }
    if (now_free < job.shape.min) continue;
    const uint32_t ranks = std::min(job.max, now_free);
    if (start < promise.start || (start == promise.start && ranks > promise.ranks)) {
      promise.start = start;
      promise.ranks = ranks;
    }
  }
  return promise;
}

// Watches one simulation, and returns the law that it broke; empty: none.
class Watch {
 public:
  explicit Watch(const QueueSimulation& simulation) : simulation_(simulation) {}

  void Look(const QueueSimulation::Moment& moment) {
    bool in_turn = false;
    for (const Placement& placement : moment.placements) {
      if (!placement.started_ahead.empty()) continue;
      // A job of higher priority that arrived since, and is placed by the same plan, goes first: it may take a slot.
      const bool is_first = !in_turn;
      in_turn = true;
      if (placement.job != promise_.job || !is_first) continue;
      const auto ranks = static_cast<uint32_t>(placement.ranks.size());
      if (moment.now > promise_.start || (moment.now == promise_.start && ranks < promise_.ranks)) {
        broken_ = absl::StrCat("job ", promise_.job, " started ", absl::FormatDuration(moment.now - promise_.start),
                               " late, on ", ranks, " ranks of ", promise_.ranks);
      }
      ++kept_;
    }
    const auto head = moment.view.heads.find(kGpu);
    const std::string id = head == moment.view.heads.end() ? "" : head->second.place.id;
    // A job placed in its normal turn is ahead of the job that waits, and may delay it.
    if (id.empty()) promise_ = {};
    if (!id.empty() && (in_turn || id != promise_.job)) promise_ = PromiseOf(simulation_.job(id), moment);
    if (!id.empty() && moment.now >= promise_.start) {
      broken_ = absl::StrCat("job ", id, " waits although it could start");
    }
  }
  const std::string& broken() const { return broken_; }
  uint64_t kept() const { return kept_; }

 private:
  const QueueSimulation& simulation_;
  Promise promise_;
  std::string broken_;
  uint64_t kept_ = 0;
};

TEST(Backfill, NeverDelaysAReservedGangInRandomQueues) {
  const uint64_t first = FromEnvironment("MUSTER_BACKFILL_SEED", 1), queues = FromEnvironment("MUSTER_BACKFILL_QUEUES", 2000);
  uint64_t ahead = 0, kept = 0;
  for (uint64_t seed = first; seed < first + queues; ++seed) {
    RandomQueue queue = QueueOf(seed);
    QueueSimulation simulation(queue.workers, queue.jobs, /*backfill=*/true);
    Watch watch(simulation);
    const SimulationResult result = simulation.Run([&](const QueueSimulation::Moment& moment) { watch.Look(moment); });
    ASSERT_EQ(watch.broken(), "") << "seed " << seed;
    ahead += result.ahead;
    kept += watch.kept();
  }
  std::printf("seeds %lu to %lu: %lu jobs started ahead of a reserved one, %lu reserved ones started in time\n", first,
              first + queues - 1, ahead, kept);
  if (queues >= 100) {
    EXPECT_GT(ahead, queues / 10) << "the queues hardly test backfill";
    EXPECT_GT(kept, queues / 2);
  }
}

// Checks the checker above: with a planner that lets every job go ahead, it must report a broken law.
TEST(Backfill, TheLawFailsWhereRunTimesAreUnderestimated) {
  uint64_t broken = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    RandomQueue queue = QueueOf(seed);
    for (SimulatedJob& job : queue.jobs) {
      job.known_before = true;
      job.later = -0.9;
    }
    QueueSimulation simulation(queue.workers, queue.jobs, /*backfill=*/true);
    Watch watch(simulation);
    simulation.Run([&](const QueueSimulation::Moment& moment) { watch.Look(moment); });
    broken += !watch.broken().empty();
  }
  EXPECT_GT(broken, 0);
}

// Every job that fits on the workers that can take ranks starts in the end, whatever else waits.
TEST(Backfill, EveryJobThatFitsStartsInRandomQueues) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    const RandomQueue queue = QueueOf(seed);
    std::map<uint32_t, uint32_t> usable;
    for (const WorkerSlots& worker : queue.workers) usable[worker.protocol] += worker.out ? 0 : worker.total;
    QueueSimulation simulation(queue.workers, queue.jobs, /*backfill=*/true);
    for (const std::string& id : simulation.Run().stuck) {
      for (const auto& [protocol, slots] : usable) {
        const WaitingShape& shape = simulation.job(id).shape;
        EXPECT_TRUE(protocol < shape.protocol || slots < shape.min) << "seed " << seed << ", job " << id;
      }
    }
  }
}

RunEnds::Attempt Attempt(uint32_t slots, int earliest, int latest) {
  RunEnds::Attempt attempt{{kGpu, 1}, slots, {}};
  if (earliest >= 0) attempt.end.earliest = QueueSimulation::Begin() + absl::Seconds(earliest);
  if (latest >= 0) attempt.end.latest = QueueSimulation::Begin() + absl::Seconds(latest);
  return attempt;
}

Reservation ReservationFor(uint32_t min, uint32_t max, uint32_t free, uint32_t usable, const RunEnds& ends) {
  return Reservation(min, max, GroupSupply{{kGpu, 1}, free, usable}, ends, QueueSimulation::Begin());
}

TEST(Reservation, IsAsTheExampleOfItsHeaderSays) {
  RunEnds ends;
  ends.Set("a", Attempt(8, 600, 900));
  ends.Set("b", Attempt(5, 3600, 4800));
  Reservation reservation = ReservationFor(8, 8, 3, 16, ends);
  EXPECT_EQ(reservation.earliest(), QueueSimulation::Begin() + absl::Minutes(10));
  EXPECT_EQ(reservation.spare(), 3);
  reservation.Take(2);
  EXPECT_EQ(reservation.spare(), 1);
  ends.Set("b", Attempt(5, -1, -1));
  reservation = ReservationFor(8, 8, 3, 16, ends);
  EXPECT_EQ(reservation.earliest(), QueueSimulation::Begin());
  EXPECT_EQ(reservation.spare(), 0);
}

TEST(Reservation, AnElasticJobKeepsTheRanksThatItWouldGet) {
  RunEnds ends;
  ends.Set("a", Attempt(8, 600, 900));
  EXPECT_EQ(ReservationFor(4, 4, 2, 10, ends).spare(), 6);
  EXPECT_EQ(ReservationFor(4, 9, 2, 10, ends).spare(), 1);
  EXPECT_EQ(ReservationFor(4, 64, 2, 10, ends).spare(), 0);
}

TEST(Reservation, SlotsOfUnknownUseMayComeFreeOneByOne) {
  const RunEnds none;
  EXPECT_EQ(ReservationFor(4, 4, 2, 10, none).earliest(), QueueSimulation::Begin());
  EXPECT_EQ(ReservationFor(4, 4, 2, 10, none).spare(), 0);
}

TEST(Reservation, AnAttemptThatRunsForLongerThanExpectedMayEndAtAnyMoment) {
  RunEnds ends;
  ends.Set("a", Attempt(8, 0, 10));
  const absl::Time later = QueueSimulation::Begin() + absl::Minutes(5);
  const Reservation reservation(4, 4, GroupSupply{{kGpu, 1}, 2, 10}, ends, later);
  EXPECT_EQ(reservation.earliest(), later);
  EXPECT_EQ(reservation.spare(), 6);
}

TEST(Reservation, AJobThatCanNeverStartHereReservesNothing) {
  const Reservation reservation = ReservationFor(16, 16, 2, 10, RunEnds());
  EXPECT_EQ(reservation.earliest(), absl::InfiniteFuture());
  EXPECT_EQ(reservation.spare(), UINT32_MAX);
}

}  // namespace
}  // namespace muster
