#include "coordinator/core/gang.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

WorkerSlots Worker(const std::string& name, muster::v1::Device device, uint32_t total, std::vector<uint32_t> free) {
  WorkerSlots worker;
  worker.name = name;
  worker.device = device;
  worker.total = total;
  worker.protocol = 2;
  worker.free = std::move(free);
  return worker;
}

QueuedJob Gpu(const std::string& id, uint64_t sequence, uint32_t min, uint32_t max, int32_t priority = 0) {
  return {id, priority, sequence, muster::v1::DEVICE_GPU, min, max};
}

const ClusterSnapshot kSix = {{Worker("w1", muster::v1::DEVICE_GPU, 4, {0, 1, 2, 3}),
                               Worker("w2", muster::v1::DEVICE_GPU, 4, {2, 3})}};

std::vector<std::string> Where(const Placement& placement) {
  std::vector<std::string> result;
  for (const auto& rank : placement.ranks) result.push_back(absl::StrCat(rank.worker(), ":", rank.slot()));
  return result;
}

TEST(PlanGangs, PlacesAllRanksOrNone) {
  const GangPlan plan = PlanGangs(kSix, {Gpu("a", 1, 8, 8)});
  EXPECT_THAT(plan.placements, IsEmpty());
  EXPECT_THAT(plan.waiting, ElementsAre(Waiting{"a", "needs 8 GPUs, 6 free"}));
}

TEST(PlanGangs, TakesTheSmallestWorkerThatHoldsTheGang) {
  const GangPlan plan = PlanGangs(kSix, {Gpu("a", 1, 2, 2)});
  ASSERT_THAT(plan.placements, SizeIs(1));
  EXPECT_THAT(Where(plan.placements[0]), ElementsAre("w2:2", "w2:3"));
}

TEST(PlanGangs, SpreadsOverAsFewWorkersAsItCan) {
  const GangPlan plan = PlanGangs(kSix, {Gpu("a", 1, 5, 5)});
  ASSERT_THAT(plan.placements, SizeIs(1));
  EXPECT_THAT(Where(plan.placements[0]), ElementsAre("w1:0", "w1:1", "w1:2", "w1:3", "w2:2"));
}

TEST(PlanGangs, GoesByPriorityThenBySubmission) {
  const GangPlan plan = PlanGangs(kSix, {Gpu("c", 3, 2, 2), Gpu("b", 2, 4, 4), Gpu("a", 1, 4, 4, -1)});
  ASSERT_THAT(plan.placements, SizeIs(2));
  EXPECT_EQ(plan.placements[0].job, "b");
  EXPECT_EQ(plan.placements[1].job, "c");
  EXPECT_THAT(plan.waiting, ElementsAre(Waiting{"a", "needs 4 GPUs, 0 free"}));
}

TEST(PlanGangs, GivesAnElasticJobWhatIsFree) {
  const GangPlan plan = PlanGangs(kSix, {Gpu("a", 1, 2, 16)});
  ASSERT_THAT(plan.placements, SizeIs(1));
  EXPECT_THAT(plan.placements[0].ranks, SizeIs(6));
}

TEST(PlanGangs, KeepsSmallJobsFromStarvingALargeOne) {
  const GangPlan plan = PlanGangs(kSix, {Gpu("large", 1, 7, 7), Gpu("small", 2, 1, 1)});
  EXPECT_THAT(plan.placements, IsEmpty());
  EXPECT_EQ(plan.waiting[1], (Waiting{"small", "waits for its turn behind job large: the free slots are reserved for that "
                                              "job, which may need them at any moment"}));
}

// Slots of workers that drain or are silent may never come back.
TEST(PlanGangs, IsNotHeldBackByAJobThatOnlyFitsWithAWorkerThatDrains) {
  ClusterSnapshot cluster = {{Worker("w1", muster::v1::DEVICE_GPU, 4, {0, 1}), Worker("w2", muster::v1::DEVICE_GPU, 4, {})}};
  cluster.workers[1].out = true;
  cluster.workers[1].withheld = 4;
  cluster.workers[1].withheld_reason = "w2 draining";
  const GangPlan plan = PlanGangs(cluster, {Gpu("wide", 1, 5, 5), Gpu("small", 2, 1, 1)});
  ASSERT_THAT(plan.placements, SizeIs(1));
  EXPECT_EQ(plan.placements[0].job, "small");
  EXPECT_THAT(plan.waiting, ElementsAre(Waiting{"wide", "needs 5 GPUs, 2 free, 4 withheld (w2 draining): the workers that "
                                                        "take ranks have 4 in all"}));
  cluster.workers[1].out = false;
  EXPECT_THAT(PlanGangs(cluster, {Gpu("wide", 1, 5, 5), Gpu("small", 2, 1, 1)}).placements, IsEmpty());
}

TEST(PlanGangs, AGroupOfWorkersThatTheReservedJobCannotUseIsFreeForOthers) {
  ClusterSnapshot mixed = kSix;
  mixed.workers[0].protocol = 1;
  QueuedJob wide = Gpu("wide", 1, 3, 3), small = Gpu("small", 2, 1, 1);
  wide.protocol = 2;
  const GangPlan plan = PlanGangs(mixed, {wide, small});
  ASSERT_THAT(plan.placements, SizeIs(1));
  EXPECT_EQ(plan.placements[0].started_ahead, "started ahead of job wide, which cannot run on these workers");
  EXPECT_THAT(Where(plan.placements[0]), ElementsAre("w1:0"));
}

// The slots left over when the reserved job starts, whichever attempt ends first.
TEST(PlanGangs, SlotsThatTheReservedJobCannotUseAreFreeForOthers) {
  const ClusterSnapshot cluster = {{Worker("w1", muster::v1::DEVICE_GPU, 4, {0, 1, 2, 3}),
                                    Worker("w2", muster::v1::DEVICE_GPU, 4, {})}};
  RunEnds ends;
  ends.Set("x", {{muster::v1::DEVICE_GPU, 2}, 4, {}});
  ClusterIndex index;
  for (const WorkerSlots& worker : cluster.workers) index.Put(worker);
  WaitingJobs waiting;
  waiting[{muster::v1::DEVICE_GPU, 6, 0}].insert({0, 1, "wide", 6});
  waiting[{muster::v1::DEVICE_GPU, 2, 0}].insert({0, 2, "small", 4});
  PlanInput input;
  input.waiting = &waiting;
  input.is_held = [](const std::string&) { return false; };
  input.longest_run = [](const std::string&, uint32_t) { return std::nullopt; };
  input.ends = &ends;
  QueueView view;
  const std::vector<Placement> placements = PlanWaiting(input, index, view);
  ASSERT_THAT(placements, SizeIs(1));
  EXPECT_EQ(placements[0].started_ahead, "started ahead of job wide, which does not need these slots");
  EXPECT_THAT(placements[0].ranks, SizeIs(2)) << "of the 4 that it could use, and that are free";
  input.ends = nullptr;  // no backfill
  ClusterIndex again;
  for (const WorkerSlots& worker : cluster.workers) again.Put(worker);
  EXPECT_THAT(PlanWaiting(input, again, view), IsEmpty());
}

TEST(PlanGangs, IsNotHeldBackByAJobLargerThanTheCluster) {
  const GangPlan plan = PlanGangs(kSix, {Gpu("huge", 1, 9, 9), Gpu("small", 2, 1, 1)});
  EXPECT_THAT(plan.placements, SizeIs(1));
  EXPECT_THAT(plan.waiting,
              ElementsAre(Waiting{"huge", "needs 9 GPUs, 6 free: the connected workers have 8 in all"}));
}

TEST(PlanGangs, NeverMixesKinds) {
  ClusterSnapshot mixed = kSix;
  mixed.workers.push_back(Worker("c1", muster::v1::DEVICE_CPU, 8, {0, 1, 2, 3, 4, 5, 6, 7}));
  const GangPlan plan = PlanGangs(mixed, {Gpu("a", 1, 7, 7), {"b", 0, 2, muster::v1::DEVICE_CPU, 8, 8}});
  ASSERT_THAT(plan.placements, SizeIs(1));
  EXPECT_EQ(plan.placements[0].job, "b");
}

// The same collective may differ between two versions.
TEST(PlanGangs, NeverMixesProtocolsInOneGang) {
  ClusterSnapshot mixed = kSix;
  mixed.workers[0].protocol = 1;
  GangPlan plan = PlanGangs(mixed, {Gpu("a", 1, 5, 5)});
  EXPECT_THAT(plan.placements, IsEmpty());
  EXPECT_THAT(plan.waiting, ElementsAre(Waiting{"a", "needs 5 GPUs, 4 free, 2 more on workers of another version (all "
                                                     "ranks of a job need the same one): the connected workers have 4 in all"}));
  plan = PlanGangs(mixed, {Gpu("a", 1, 2, 8), Gpu("b", 2, 2, 8)});
  ASSERT_THAT(plan.placements, SizeIs(2));
  EXPECT_THAT(Where(plan.placements[0]), ElementsAre("w1:0", "w1:1", "w1:2", "w1:3")) << "where most is free";
  EXPECT_THAT(Where(plan.placements[1]), ElementsAre("w2:2", "w2:3"));
}

// Ranks of an older version would fail on the specification, or train as if an option were not set.
TEST(PlanGangs, PlacesNothingOnWorkersThatDoNotUnderstandTheJob) {
  ClusterSnapshot mixed = kSix;
  mixed.workers[0].protocol = 1;
  QueuedJob job = Gpu("a", 1, 5, 5);
  job.protocol = 2;
  const GangPlan plan = PlanGangs(mixed, {job, Gpu("b", 2, 1, 1)});
  ASSERT_THAT(plan.placements, SizeIs(1));
  EXPECT_EQ(plan.placements[0].job, "b") << "does not wait for an upgrade";
  EXPECT_THAT(plan.waiting, ElementsAre(Waiting{"a", "needs 5 GPUs, 2 free, 4 on workers of an older version, which "
                                                     "cannot run this job: the others have 4 in all"}));
  job.min = 1;
  EXPECT_THAT(Where(PlanGangs(mixed, {job}).placements.at(0)), ElementsAre("w2:2", "w2:3"));
}

TEST(PlanGangs, PlacesNoSlotTwice) {
  JobQueue queue;
  for (uint64_t i = 1; i <= 6; ++i) queue.push_back(Gpu(absl::StrCat("j", i), i, 1, 1));
  std::set<std::string> taken;
  for (const Placement& placement : PlanGangs(kSix, queue).placements) {
    for (const std::string& slot : Where(placement)) EXPECT_TRUE(taken.insert(slot).second) << slot;
  }
  EXPECT_THAT(taken, SizeIs(6));
}

}  // namespace
}  // namespace muster
