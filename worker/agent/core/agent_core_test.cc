#include "worker/agent/core/agent_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "common/random.h"
#include "worker/agent/core/cpu_share.h"

namespace muster {
namespace {

using muster::internal::v1::Report;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr muster::internal::v1::AssignmentPhase kPrepare = muster::internal::v1::ASSIGNMENT_PHASE_PREPARE;
constexpr muster::internal::v1::AssignmentPhase kRun = muster::internal::v1::ASSIGNMENT_PHASE_RUN;

struct Wish {
  std::string job;
  uint32_t attempt;
  muster::internal::v1::AssignmentPhase phase;
  std::vector<uint32_t> slots;
  muster::v1::Device device = muster::v1::DEVICE_CPU;
  bool save_and_stop = false;
};

// One agent with two CPU slots on four cores, a clock, and short names for events.
class AgentCoreTest : public testing::Test {
 protected:
  explicit AgentCoreTest(const std::string& log_format = "text") : core_(Options(log_format)) {}

  static AgentCoreOptions Options(const std::string& log_format = "text") {
    AgentCoreOptions options;
    options.log_format = log_format;
    options.facts = {.worker = "w1", .device = "cpu", .instance = "i", .slots = 2, .cores = 4, .cpus = {0, 1, 6, 7}};
    options.coordinator_address = "c:1";
    options.state = "/state";
    return options;
  }

  Actions Step(const Event& event) {
    Actions actions = core_.Step(event, now_);
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<Send>(&action); send != nullptr && send->message.has_report()) {
        reports_.push_back(send->message.report());
      }
    }
    return actions;
  }
  Actions Advance(absl::Duration by) {
    now_ += by;
    return Step(Tick{});
  }
  void Welcome(uint64_t epoch = 1) {
    MessageReceived welcome;
    welcome.message.mutable_welcome()->set_epoch(epoch);
    welcome.message.mutable_welcome()->set_heartbeat_milliseconds(3000);
    Step(welcome);
  }
  void Connect(uint64_t epoch = 1) {
    while (!Has<OpenSession>(Advance(absl::Seconds(1)))) {
    }
    Welcome(epoch);
  }
  Actions Desire(const std::vector<Wish>& wishes, uint64_t epoch = 1) {
    MessageReceived desired;
    desired.message.mutable_desired()->set_epoch(epoch);
    for (const Wish& wish : wishes) {
      auto& assignment = *desired.message.mutable_desired()->add_assignments();
      assignment.set_job_id(wish.job);
      assignment.set_attempt(wish.attempt);
      assignment.set_phase(wish.phase);
      assignment.set_save_and_stop(wish.save_and_stop);
      assignment.set_world_size(static_cast<uint32_t>(wish.slots.size()));
      assignment.mutable_spec()->mutable_resources()->set_device(wish.device);
      for (uint32_t i = 0; i < wish.slots.size(); ++i) {
        auto& placement = *assignment.add_ranks();
        placement.set_rank(i);
        placement.set_slot(wish.slots[i]);
      }
    }
    return Step(desired);
  }
  Actions End(const RankKey& rank, ExitStatus status = {}) { return Step(RankEnded{rank, status, "", ""}); }
  void Acknowledge() {
    MessageReceived ack;
    ack.message.mutable_ack()->set_sequence(reports_.back().sequence());
    Step(ack);
  }

  template <typename Kind>
  static bool Has(const Actions& actions) {
    return std::any_of(actions.begin(), actions.end(), [](const Action& action) { return std::holds_alternative<Kind>(action); });
  }
  static std::vector<std::string> Words(const Actions& actions) {
    std::vector<std::string> words;
    for (const Action& action : actions) {
      if (const auto* start = std::get_if<StartRank>(&action)) words.push_back("start " + ToString(start->rank));
      if (const auto* stop = std::get_if<SignalRank>(&action)) {
        words.push_back((stop->signal == SIGTERM ? "term " : stop->signal == SIGUSR1 ? "save " : "kill ") + ToString(stop->rank));
      }
      if (const auto* remove = std::get_if<RemoveScratch>(&action)) words.push_back("remove " + ToString(remove->attempt));
      if (Has<EndAgent>({action})) words.push_back("end");
    }
    return words;
  }
  Report::EventCase LastReport() const { return reports_.empty() ? Report::EVENT_NOT_SET : reports_.back().event_case(); }

  absl::Duration now_;
  AgentCore core_;
  std::vector<Report> reports_;  // as sent, repeats included
};

TEST_F(AgentCoreTest, ConfigurationsHaveNothingOfANewerCoordinatorThatTheirRanksCouldNotRead) {
  Connect();
  MessageReceived desired;
  desired.message.mutable_desired()->set_epoch(1);
  auto& assignment = *desired.message.mutable_desired()->add_assignments();
  assignment.set_job_id("a");
  assignment.set_attempt(1);
  assignment.set_phase(kPrepare);
  assignment.set_world_size(1);
  assignment.mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  assignment.add_ranks();
  auto& checkpoint = *assignment.add_checkpoints();
  checkpoint.set_manifest("m");
  checkpoint.GetReflection()->MutableUnknownFields(&checkpoint)->AddVarint(9999, 1);
  Step(desired);
  assignment.set_phase(kRun);
  const Actions actions = Step(desired);
  const auto start = std::find_if(actions.begin(), actions.end(),
                                  [](const Action& action) { return std::holds_alternative<StartRank>(action); });
  ASSERT_NE(start, actions.end());
  const auto& config = std::get<StartRank>(*start).config;
  ASSERT_EQ(config.checkpoints().size(), 1);
  EXPECT_EQ(config.checkpoints(0).manifest(), "m");
  EXPECT_TRUE(config.checkpoints(0).GetReflection()->GetUnknownFields(config.checkpoints(0)).empty());
}

TEST_F(AgentCoreTest, AnAcknowledgmentBeforeTheWelcomeAcknowledgesNothing) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  const uint64_t sequence = reports_.back().sequence();
  Step(SessionEnded{"gone"});
  while (!Has<OpenSession>(Advance(absl::Seconds(1)))) {
  }
  Acknowledge();
  reports_.clear();
  Welcome();
  ASSERT_FALSE(reports_.empty()) << "it is sent again";
  EXPECT_EQ(reports_.front().sequence(), sequence);
}

TEST_F(AgentCoreTest, PreparesThenRunsWithItsShareOfTheCores) {
  Connect();
  EXPECT_THAT(Words(Desire({{"a", 1, kPrepare, {0, 1}}})), IsEmpty());
  EXPECT_EQ(LastReport(), Report::kPrepared);
  const Actions actions = Desire({{"a", 1, kRun, {0, 1}}});
  EXPECT_THAT(Words(actions), ElementsAre("start a#1 rank 0", "start a#1 rank 1"));
  const auto& config = std::get<StartRank>(actions[1]).config;
  EXPECT_EQ(config.threads(), 2);
  EXPECT_EQ(config.slot(), 1);
  EXPECT_EQ(config.world_size(), 2);
  EXPECT_EQ(config.scratch(), "/state/scratch/a-a1/r1");
  EXPECT_THAT(std::get<StartRank>(actions[0]).cpus, ElementsAre(0, 1));
  EXPECT_THAT(std::get<StartRank>(actions[1]).cpus, ElementsAre(6, 7));
  EXPECT_EQ(config.log_format(), "") << "text: what an older rank reads too";
  EXPECT_THAT(Words(Desire({{"a", 1, kRun, {0, 1}}})), IsEmpty()) << "the same wish again changes nothing";
}

TEST_F(AgentCoreTest, ARankAloneOnItsHostIsBoundToNoProcessor) {
  Connect();
  Desire({{"a", 1, kPrepare, {1}}});
  const Actions actions = Desire({{"a", 1, kRun, {1}}});
  EXPECT_THAT(std::get<StartRank>(actions.at(0)).cpus, IsEmpty());
}

TEST(CpusOfSlot, SharesAreEqualAndDisjointAndNeverSmallerThanTheThreads) {
  const std::vector<uint32_t> cpus = {0, 2, 4, 6, 8};
  EXPECT_THAT(CpusOfSlot(cpus, 0, 2, 2), ElementsAre(0, 2));
  EXPECT_THAT(CpusOfSlot(cpus, 1, 2, 1), ElementsAre(4, 6));
  EXPECT_THAT(CpusOfSlot(cpus, 1, 2, 3), IsEmpty()) << "the job asks for more threads than a share has processors";
  EXPECT_THAT(CpusOfSlot(cpus, 0, 6, 1), IsEmpty()) << "more slots than processors";
  EXPECT_THAT(CpusOfSlot({}, 0, 1, 1), IsEmpty());
}

TEST_F(AgentCoreTest, HeartbeatsSayWhereEachRankIsAndSinceWhen) {
  Connect();
  Desire({{"a", 1, kPrepare, {0, 1}}});
  Desire({{"a", 1, kRun, {0, 1}}});
  RankReported said{{{"a", 1}, 1}, {}};
  auto& activity = *said.message.mutable_activity();
  activity.set_phase("encode");
  activity.set_step(7);
  Step(said);
  const auto heartbeat = [](const Actions& actions) {
    muster::internal::v1::Heartbeat found;
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<Send>(&action); send != nullptr && send->message.has_heartbeat()) {
        found = send->message.heartbeat();
      }
    }
    return found;
  };
  now_ += absl::Seconds(2);
  Step(said);  // reports, without having moved
  const auto beat = heartbeat(Advance(absl::Seconds(1)));
  ASSERT_EQ(beat.attempts_size(), 1);
  ASSERT_EQ(beat.attempts(0).activities_size(), 1) << "rank 0 has reported nothing";
  EXPECT_EQ(beat.attempts(0).activities(0).rank(), 1);
  EXPECT_EQ(beat.attempts(0).activities(0).step(), 7);
  EXPECT_EQ(beat.attempts(0).activities(0).seconds_ago(), 3);
  EXPECT_EQ(beat.attempts(0).activities(0).silent_seconds(), 1);
  activity.set_unreachable("data server d:1");
  EXPECT_EQ(heartbeat(Step(said)).attempts(0).activities(0).unreachable(), "data server d:1") << "told at once";
  EXPECT_EQ(heartbeat(Step(said)).attempts_size(), 0) << "and once";
  activity.set_step(8);
  activity.clear_unreachable();
  EXPECT_EQ(heartbeat(Step(said)).attempts(0).activities(0).seconds_ago(), 0);
  End({{"a", 1}, 1});
  EXPECT_EQ(heartbeat(Advance(absl::Seconds(3))).attempts(0).activities_size(), 0);
}

class JsonAgentCoreTest : public AgentCoreTest {
 protected:
  JsonAgentCoreTest() : AgentCoreTest("json") {}
};

TEST_F(JsonAgentCoreTest, ItsRanksLogAsItDoes) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  EXPECT_EQ(std::get<StartRank>(Desire({{"a", 1, kRun, {0}}}).back()).config.log_format(), "json");
}

TEST_F(AgentCoreTest, PassesOnTheLedgerOfAnEpochAsAReport) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  RankReported said{{{"a", 1}, 0}, {}};
  said.message.mutable_epoch_closed()->set_epoch(3);
  said.message.mutable_epoch_closed()->set_missing(1);
  Step(said);
  ASSERT_EQ(LastReport(), Report::kEpochClosed);
  EXPECT_EQ(reports_.back().epoch_closed().epoch(), 3);
  EXPECT_EQ(reports_.back().epoch_closed().missing(), 1);
}

TEST_F(AgentCoreTest, RefusesOnceWhatItCannotHold) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}, {"b", 1, kPrepare, {0}}});
  ASSERT_EQ(reports_.size(), 2);
  EXPECT_EQ(reports_[1].refused().reason(), "slot 0 is held by a#1");
  Desire({{"a", 1, kPrepare, {0}}, {"b", 1, kPrepare, {0}}});
  EXPECT_EQ(reports_.size(), 2);
  Desire({{"c", 1, kPrepare, {1}, muster::v1::DEVICE_GPU}});
  EXPECT_EQ(reports_.back().refused().reason(), "the job needs a GPU, this worker has none");
  Desire({{"d", 1, kPrepare, {2}}});
  EXPECT_EQ(reports_.back().refused().reason(), "slot 2 does not exist, there are 2");
  Desire({{"../e", 1, kPrepare, {1}}});
  EXPECT_THAT(reports_.back().refused().reason(), HasSubstr("not a valid name"));
}

TEST_F(AgentCoreTest, ANewAttemptWaitsUntilTheOldRanksHaveEnded) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  EXPECT_THAT(Words(Desire({{"a", 2, kPrepare, {0}}})), ElementsAre("term a#1 rank 0"));
  EXPECT_EQ(LastReport(), Report::kPrepared);
  EXPECT_EQ(reports_.size(), 1) << "the slot is not free yet";
  EXPECT_THAT(Words(End({{"a", 1}, 0})), ElementsAre("remove a#1"));
  Step(Tick{});
  EXPECT_EQ(reports_.back().attempt(), 2);
  EXPECT_EQ(LastReport(), Report::kPrepared);
}

TEST_F(AgentCoreTest, KillsAfterTheGraceOnly) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  Desire({});
  EXPECT_THAT(Words(Advance(absl::Seconds(9))), IsEmpty());
  EXPECT_THAT(Words(Advance(absl::Seconds(1))), ElementsAre("kill a#1 rank 0"));
  EXPECT_THAT(Words(Advance(absl::Seconds(60))), IsEmpty());
  End({{"a", 1}, 0}, {-1, SIGKILL});
  EXPECT_EQ(reports_.back().rank_exited().cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
}

TEST_F(AgentCoreTest, ATimeInWhichItWasFrozenDoesNotCountForItsRanks) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  EXPECT_THAT(Words(Desire({})), ElementsAre("term a#1 rank 0"));
  now_ += absl::Seconds(60);
  EXPECT_THAT(Words(Step(Overslept{absl::Seconds(60)})), IsEmpty());
  EXPECT_THAT(Words(Advance(Options().stop_grace - absl::Seconds(1))), IsEmpty());
  EXPECT_THAT(Words(Advance(absl::Seconds(1))), ElementsAre("kill a#1 rank 0"));
}

TEST_F(AgentCoreTest, ADeadRankIsOnlyReported) {
  Connect();
  Desire({{"a", 1, kPrepare, {0, 1}}});
  Desire({{"a", 1, kRun, {0, 1}}});
  EXPECT_THAT(Words(End({{"a", 1}, 1}, {-1, SIGSEGV})), IsEmpty());
  EXPECT_EQ(reports_.back().rank_exited().cause(), muster::internal::v1::EXIT_CAUSE_SIGNAL);
  EXPECT_EQ(reports_.back().rank_exited().message(), "killed by SIGSEGV");
  EXPECT_EQ(core_.ranks_running(), 1);
}

TEST_F(AgentCoreTest, TheReportOfAnEndHasTheLastProgressAlsoIfNoCoordinatorHeardIt) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  Step(SessionEnded{"gone"});
  RankReported said{{{"a", 1}, 0}, {}};
  for (const uint64_t step : {59, 60}) {
    said.message.mutable_progress()->set_step(step);
    Step(said);
  }
  End({{"a", 1}, 0}, {0, 0});
  reports_.clear();
  Connect();
  ASSERT_FALSE(reports_.empty());
  EXPECT_EQ(reports_.back().rank_exited().progress().step(), 60);
}

TEST_F(AgentCoreTest, ARankThatDoesNotEndAfterItsResultIsKilledAndKeepsItsResult) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  RankReported said{{{"a", 1}, 0}, {}};
  said.message.mutable_result()->set_cause(muster::internal::v1::EXIT_CAUSE_SUCCESS);
  Step(said);
  EXPECT_THAT(Words(Advance(absl::Seconds(30))), ElementsAre("kill a#1 rank 0"));
  End({{"a", 1}, 0}, {-1, SIGKILL});
  EXPECT_EQ(reports_.back().rank_exited().cause(), muster::internal::v1::EXIT_CAUSE_SUCCESS);
}

TEST_F(AgentCoreTest, ReportsAreSentAgainUntilAcknowledged) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  EXPECT_EQ(core_.reports_pending(), 1);
  Step(SessionEnded{"gone"});
  reports_.clear();
  Connect();
  ASSERT_EQ(reports_.size(), 1);
  EXPECT_EQ(reports_[0].sequence(), 1);
  Acknowledge();
  EXPECT_EQ(core_.reports_pending(), 0);
  Step(SessionEnded{"gone"});
  reports_.clear();
  Connect();
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(AgentCoreTest, RanksOutliveTheCoordinatorForNineMinutes) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  Step(SessionEnded{"gone"});
  const absl::Duration lost = now_;
  while (now_ < lost + absl::Minutes(9) - absl::Seconds(1)) {
    const Actions actions = Advance(absl::Seconds(1));
    ASSERT_THAT(Words(actions), IsEmpty()) << now_ - lost;
    if (Has<OpenSession>(actions)) Step(SessionEnded{"refused"});  // a failed try does not restart the clock
  }
  EXPECT_THAT(Words(Advance(absl::Seconds(1))), ElementsAre("term a#1 rank 0"));
  End({{"a", 1}, 0});
  reports_.clear();
  Connect();
  EXPECT_THAT(reports_.back().rank_exited().message(), HasSubstr("no coordinator for 9m"));
}

TEST_F(AgentCoreTest, ACoordinatorThatComesBackInTimeChangesNothing) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  Step(SessionEnded{"gone"});
  Connect(2);
  EXPECT_THAT(Words(Desire({{"a", 1, kRun, {0}}}, 2)), IsEmpty());
  EXPECT_THAT(Words(Advance(absl::Minutes(60))), IsEmpty());
}

TEST_F(AgentCoreTest, AnOlderCoordinatorIsIgnored) {
  Connect(5);
  Desire({{"a", 1, kPrepare, {0}}}, 5);
  Desire({{"a", 1, kRun, {0}}}, 5);
  EXPECT_THAT(Words(Desire({}, 4)), IsEmpty());
  Step(SessionEnded{"gone"});
  while (!Has<OpenSession>(Advance(absl::Seconds(1)))) {
  }
  MessageReceived welcome;
  welcome.message.mutable_welcome()->set_epoch(4);
  EXPECT_TRUE(Has<CloseSession>(Step(welcome)));
  EXPECT_THAT(Words(Desire({}, 4)), IsEmpty());
}

TEST_F(AgentCoreTest, WhatAnEarlierInstanceRanIsReportedAndNotStarted) {
  Connect();
  EXPECT_THAT(Words(Desire({{"a", 1, kRun, {0, 1}}})), IsEmpty());
  ASSERT_EQ(reports_.size(), 2);
  EXPECT_EQ(reports_[1].rank_exited().rank(), 1);
  EXPECT_EQ(reports_[1].rank_exited().cause(), muster::internal::v1::EXIT_CAUSE_SIGNAL);
  Desire({{"a", 1, kRun, {0, 1}}});
  EXPECT_EQ(reports_.size(), 2);
  Desire({{"a", 2, kPrepare, {0, 1}}});
  EXPECT_EQ(LastReport(), Report::kPrepared);
}

TEST_F(AgentCoreTest, LogLinesComeBeforeTheEndOfTheirRank) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  EXPECT_THAT(Step(RankWrote{{{"a", 1}, 0}, "one\n"}), IsEmpty()) << "in batches";
  Step(RankWrote{{{"a", 1}, 0}, "two\n"});
  const Actions actions = End({{"a", 1}, 0}, {1, 0});
  ASSERT_GE(actions.size(), 2);
  EXPECT_EQ(std::get<Send>(actions[0]).message.log().text(), "one\ntwo\n");
  EXPECT_TRUE(std::get<Send>(actions[1]).message.report().has_rank_exited());
}

TEST_F(AgentCoreTest, HeartbeatsNameWhatRuns) {
  Connect();
  Desire({{"a", 1, kPrepare, {0, 1}}});
  Desire({{"a", 1, kRun, {0, 1}}});
  End({{"a", 1}, 0}, {1, 0});
  const Actions actions = Advance(absl::Seconds(3));
  ASSERT_EQ(actions.size(), 1);
  const auto& heartbeat = std::get<Send>(actions[0]).message.heartbeat();
  ASSERT_EQ(heartbeat.attempts_size(), 1);
  EXPECT_EQ(heartbeat.attempts(0).phase(), kRun);
  EXPECT_THAT(heartbeat.attempts(0).running_ranks(), ElementsAre(1));
  EXPECT_EQ(core_.next_tick(), now_ + absl::Seconds(3));
}

TEST_F(AgentCoreTest, ClosesItsSessionWithASilentCoordinator) {
  while (!Has<OpenSession>(Advance(absl::Seconds(1)))) {
  }
  EXPECT_FALSE(Has<CloseSession>(Advance(absl::Seconds(14))));
  EXPECT_TRUE(Has<CloseSession>(Advance(absl::Seconds(1))));
}

TEST_F(AgentCoreTest, EndsAfterItsRanksAndItsLastReports) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  EXPECT_THAT(Words(Step(StopAsked{})), ElementsAre("save a#1 rank 0"));
  Desire({{"a", 1, kRun, {0}}, {"b", 1, kPrepare, {1}}});
  EXPECT_EQ(reports_.back().refused().reason(), "the worker is stopping");
  EXPECT_THAT(Words(End({{"a", 1}, 0})), IsEmpty()) << "the coordinator has not acknowledged it yet";
  MessageReceived ack;
  ack.message.mutable_ack()->set_sequence(reports_.back().sequence());
  EXPECT_THAT(Words(Step(ack)), ElementsAre("end"));
}

TEST_F(AgentCoreTest, SaysThatItDrainsBeforeItsRanksAreAsked) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  const Actions actions = Step(StopAsked{});
  const auto* first = std::get_if<Send>(&actions.front());
  ASSERT_NE(first, nullptr);
  EXPECT_TRUE(first->message.heartbeat().draining());
}

TEST_F(AgentCoreTest, RanksThatDoNotSaveInTimeAreStopped) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  EXPECT_THAT(Words(Step(StopAsked{})), ElementsAre("save a#1 rank 0"));
  EXPECT_THAT(Words(Advance(absl::Seconds(99))), IsEmpty());
  EXPECT_THAT(Words(Advance(absl::Seconds(1))), ElementsAre("term a#1 rank 0"));
  EXPECT_THAT(Words(Advance(absl::Seconds(10))), ElementsAre("kill a#1 rank 0"));
  End({{"a", 1}, 0}, {-1, SIGKILL});
  EXPECT_EQ(reports_.back().rank_exited().cause(), muster::internal::v1::EXIT_CAUSE_STOPPED);
}

TEST_F(AgentCoreTest, AskedToEndASecondTimeItStopsRanksAtOnce) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  Step(StopAsked{});
  EXPECT_THAT(Words(Step(StopAsked{})), ElementsAre("term a#1 rank 0"));
  EXPECT_THAT(Words(Advance(absl::Seconds(10))), ElementsAre("kill a#1 rank 0"));
}

TEST_F(AgentCoreTest, WhatRanksSavedWaitsForACoordinatorThatIsBeingReplaced) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  Step(StopAsked{});
  Step(SessionEnded{"replaced"});
  RankReported saved{{{"a", 1}, 0}, {}};
  saved.message.mutable_checkpoint()->mutable_checkpoint()->set_step(7);
  Step(saved);
  EXPECT_THAT(Words(End({{"a", 1}, 0})), IsEmpty());
  Connect(2);
  ASSERT_GE(reports_.size(), 2);
  EXPECT_EQ(reports_[reports_.size() - 2].checkpoint().checkpoint().step(), 7);
  EXPECT_EQ(LastReport(), Report::kRankExited);
  MessageReceived ack;
  ack.message.mutable_ack()->set_sequence(reports_.back().sequence());
  EXPECT_THAT(Words(Step(ack)), ElementsAre("end"));
}

TEST_F(AgentCoreTest, ASavedAttemptIsAskedOnce) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  Desire({{"a", 1, kRun, {0}}});
  EXPECT_THAT(Words(Desire({{"a", 1, kRun, {0}, muster::v1::DEVICE_CPU, true}})), ElementsAre("save a#1 rank 0"));
  EXPECT_THAT(Words(Desire({{"a", 1, kRun, {0}, muster::v1::DEVICE_CPU, true}})), IsEmpty());
  EXPECT_THAT(Words(Desire({})), ElementsAre("term a#1 rank 0")) << "cancelled meanwhile";
}

TEST_F(AgentCoreTest, EndsWithoutAnAnswerAfterTwoSeconds) {
  Connect();
  Desire({{"a", 1, kPrepare, {0}}});
  EXPECT_THAT(Words(Step(StopAsked{})), IsEmpty());
  EXPECT_THAT(Words(Advance(absl::Seconds(2))), ElementsAre("end"));
}

// Whatever happens in any order: no slot ever has two ranks, undesired ranks are stopped, and the agent does not keep
// asking for a tick in the past.
TEST(AgentCoreProperty, NoSlotEverHoldsTwoRanks) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CounterRandom random(MixKey(20261123, seed));
    AgentCoreOptions options;
    options.facts = {.worker = "w", .device = "cpu", .instance = "i", .slots = 3, .cores = 3};
    AgentCore core(options);
    absl::Duration now;
    bool session = false;
    std::map<RankKey, uint32_t> running;  // → slot
    const auto step = [&](const Event& event) {
      for (const Action& action : core.Step(event, now)) {
        if (const auto* start = std::get_if<StartRank>(&action)) {
          for (const auto& [key, slot] : running) {
            ASSERT_NE(slot, start->config.slot()) << "seed " << seed << ": " << ToString(key) << " and " << ToString(start->rank);
          }
          running[start->rank] = start->config.slot();
        }
        if (std::holds_alternative<OpenSession>(action)) session = true;
      }
    };
    for (int i = 0; i < 200; ++i) {
      now += absl::Milliseconds(static_cast<int64_t>(random.Below(3000)));
      switch (random.Below(5)) {
        case 0: {
          MessageReceived welcome;
          welcome.message.mutable_welcome()->set_epoch(1);
          if (session) step(welcome);
          break;
        }
        case 1:
        case 2: {
          MessageReceived desired;
          desired.message.mutable_desired()->set_epoch(1);
          for (uint64_t wish = random.Below(4); wish > 0; --wish) {
            auto& assignment = *desired.message.mutable_desired()->add_assignments();
            assignment.set_job_id(std::string(1, static_cast<char>('a' + random.Below(3))));
            assignment.set_attempt(static_cast<uint32_t>(1 + random.Below(3)));
            assignment.set_phase(random.Below(2) == 0 ? kPrepare : kRun);
            for (uint32_t rank = 0; rank < 1 + random.Below(2); ++rank) {
              auto& placement = *assignment.add_ranks();
              placement.set_rank(rank);
              placement.set_slot(static_cast<uint32_t>(random.Below(3)));
            }
          }
          if (session) step(desired);
          break;
        }
        case 3:
          if (!running.empty()) {
            const RankKey key = std::next(running.begin(), static_cast<int64_t>(random.Below(running.size())))->first;
            running.erase(key);
            step(RankEnded{key, {1, 0}, "", ""});
          }
          break;
        case 4:
          if (session && random.Below(4) == 0) {
            session = false;
            step(SessionEnded{"lost"});
          }
          break;
      }
      step(Tick{});
      ASSERT_GT(core.next_tick(), now) << "seed " << seed;
      ASSERT_EQ(core.ranks_running(), running.size());
    }
  }
}

}  // namespace
}  // namespace muster
