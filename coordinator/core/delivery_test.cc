// Agents learn what they should run, whatever happens to their sessions meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/core/desired.h"
#include "coordinator/core/step.h"

namespace muster {
namespace {

using muster::internal::v1::Report;

// One worker with one slot, and a job that wants it.
class Cluster {
 public:
  Cluster() { soft_.started = now_; }

  std::vector<Effect> Give(const Event& event) {
    std::vector<Effect> effects;
    std::vector<Event> events = {event};
    while (!events.empty()) {
      Decision decision = Step(state_, soft_, events.back(), now_);
      events.pop_back();
      for (const Record& record : decision.records) EXPECT_TRUE(Apply(record, state_).ok());
      effects.insert(effects.end(), decision.effects.begin(), decision.effects.end());
      if (decision.replan) events.push_back(Plan{});
    }
    return effects;
  }
  std::vector<Effect> Hello(uint64_t session) {
    AgentHello event;
    event.session = session;
    event.hello.set_worker("w1");
    event.hello.set_instance("one");
    event.hello.set_device("cpu");
    event.hello.set_slots(1);
    if (runs_ > 0) Fill(*event.hello.add_attempts());
    return Give(event);
  }
  std::vector<Effect> Heartbeat(uint64_t session) {
    AgentHeartbeat event{"w1", session, {}};
    if (runs_ > 0) Fill(*event.heartbeat.add_attempts());
    return Give(event);
  }
  std::vector<Effect> Submit() {
    SubmitJob submit;
    submit.job_id = "a";
    submit.owner = "ada";
    submit.spec.mutable_duration()->set_steps(60);
    submit.spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    submit.spec.mutable_resources()->mutable_slots()->set_min(1);
    submit.spec.mutable_resources()->mutable_slots()->set_max(1);
    return Give(submit);
  }
  std::vector<Effect> Prepare(uint64_t session) {
    return Say(session, [](Report& report) { report.mutable_prepared(); });
  }
  void Start(uint64_t session) {
    runs_ = 1;
    Say(session, [](Report& report) { report.mutable_rank_started(); });
    Heartbeat(session);
  }
  std::vector<Effect> Cancel() { return Give(JobCommand{1, Verb::kCancel, "a", "ada", ""}); }

  // Runs this many seconds, each with a heartbeat and a tick, and returns the pushes of each.
  std::vector<int> PushesPerSecond(uint64_t session, int seconds) {
    std::vector<int> result;
    for (int i = 0; i < seconds; ++i) {
      now_ += absl::Seconds(1);
      Heartbeat(session);
      result.push_back(static_cast<int>(Pushes(Give(Tick{})).size()));
    }
    return result;
  }

  static std::vector<PushDesired> Pushes(const std::vector<Effect>& effects) {
    std::vector<PushDesired> pushes;
    for (const Effect& effect : effects) {
      if (const auto* push = std::get_if<PushDesired>(&effect)) pushes.push_back(*push);
    }
    return pushes;
  }

 private:
  void Fill(muster::internal::v1::ObservedAttempt& observed) const {
    observed.set_job_id("a");
    observed.set_attempt(runs_);
    observed.add_running_ranks(0);
  }
  template <typename FillReport>
  std::vector<Effect> Say(uint64_t session, FillReport fill) {
    AgentReport event{"w1", session, {}};
    event.report.set_sequence(++sequence_);
    event.report.set_job_id("a");
    event.report.set_attempt(1);
    fill(event.report);
    return Give(event);
  }

  absl::Time now_ = absl::FromUnixSeconds(1000000);
  State state_;
  Soft soft_;
  uint64_t sequence_ = 0;
  uint32_t runs_ = 0;  // attempt
};

TEST(Delivery, IsAddressedToTheSessionOfTheWorker) {
  Cluster cluster;
  cluster.Hello(7);
  const std::vector<PushDesired> pushes = Cluster::Pushes(cluster.Submit());
  ASSERT_EQ(pushes.size(), 1);
  EXPECT_EQ(pushes[0].session, 7);
  EXPECT_FALSE(pushes[0].repeat);
}

TEST(Delivery, WaitsForTheHelloOfAWorkerWithoutASession) {
  Cluster cluster;
  cluster.Hello(1);
  cluster.Submit();
  cluster.Prepare(1);
  cluster.Start(1);
  cluster.Give(AgentGone{"w1", 1});
  EXPECT_TRUE(Cluster::Pushes(cluster.Cancel()).empty());
  const std::vector<Effect> effects = cluster.Hello(2);
  const std::vector<PushDesired> pushes = Cluster::Pushes(effects);
  ASSERT_EQ(pushes.size(), 1);
  EXPECT_EQ(pushes[0].session, 2);
  // Sent after the welcome, because an agent drops messages that arrive before it.
  const auto is_welcome = [](const Effect& effect) { return std::holds_alternative<Welcome>(effect); };
  const auto is_push = [](const Effect& effect) { return std::holds_alternative<PushDesired>(effect); };
  EXPECT_LT(std::find_if(effects.begin(), effects.end(), is_welcome), std::find_if(effects.begin(), effects.end(), is_push));
}

TEST(Delivery, ASlowHelloDoesNotTakeTheWorkerFromANewerSession) {
  Cluster cluster;
  cluster.Hello(2);
  const std::vector<Effect> effects = cluster.Hello(1);
  ASSERT_EQ(effects.size(), 1);
  ASSERT_TRUE(std::holds_alternative<CloseSession>(effects[0]));
  EXPECT_EQ(std::get<CloseSession>(effects[0]).session, 1);
  EXPECT_EQ(Cluster::Pushes(cluster.Submit()).at(0).session, 2);
}

TEST(Delivery, IsRepeatedWhileWhatWasCanceledStillRuns) {
  Cluster cluster;
  cluster.Hello(1);
  cluster.Submit();
  cluster.Prepare(1);
  cluster.Start(1);
  EXPECT_EQ(Cluster::Pushes(cluster.Cancel()).size(), 1);
  EXPECT_THAT(cluster.PushesPerSecond(1, 12), testing::ElementsAre(0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0));
}

TEST(Delivery, IsRepeatedWhileAWorkerDoesNotPrepareOrStart) {
  Cluster cluster;
  cluster.Hello(1);
  cluster.Submit();
  EXPECT_THAT(cluster.PushesPerSecond(1, 6), testing::ElementsAre(0, 0, 0, 0, 1, 0));
  cluster.Prepare(1);
  EXPECT_THAT(cluster.PushesPerSecond(1, 6), testing::ElementsAre(0, 0, 0, 0, 1, 0));
}

TEST(Delivery, IsNotRepeatedToAnAgentThatDoesAsDesired) {
  Cluster cluster;
  cluster.Hello(1);
  cluster.Submit();
  cluster.Prepare(1);
  cluster.Start(1);
  EXPECT_THAT(cluster.PushesPerSecond(1, 20), testing::Each(0));
}

}  // namespace
}  // namespace muster
