// The cost of an event depends on what changes, not on what exists. To prove it, jobs that an event must not visit are removed
// from the state without updating the index: visiting one of them would fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/version.h"
#include "coordinator/core/desired.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/job_list.h"
#include "coordinator/core/step.h"
#include "coordinator/core/submission.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

class Cluster {
 public:
  Cluster(int workers, int jobs) {
    soft_.started = now_;
    for (int i = 0; i < workers; ++i) Hello(i);
    for (int i = 0; i < jobs; ++i) Submit(i);
    Give(Plan{});
    for (int i = 0; i < workers; ++i) StartAll(i);
    for (int i = 0; i < workers; ++i) Heartbeat(i);
    Pass();
  }

  Decision Give(const Event& event) {
    Decision decision = Step(state_, soft_, event, now_);
    for (const Record& record : decision.records) EXPECT_TRUE(Apply(record, state_).ok());
    return decision;
  }
  // Some ticks, with heartbeats between them.
  void Pass() {
    for (int i = 0; i < 3; ++i) {
      now_ += absl::Seconds(1);
      for (int worker = 0; worker < static_cast<int>(soft_.workers.size()); ++worker) Heartbeat(worker);
      Give(Tick{});
      Give(Plan{});
    }
  }
  Decision Submit(int number, uint32_t slots = 1) {
    SubmitJob submit;
    submit.job_id = absl::StrCat("j", number);
    submit.owner = "ada";
    submit.max_active_jobs = 1'000'000;
    submit.request_id = absl::StrCat(number);
    submit.spec.set_name("n");
    submit.spec.mutable_resources()->mutable_slots()->set_min(slots);
    submit.spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    return Give(submit);
  }
  Decision Hello(int worker) {
    AgentHello event;
    event.session = ++session_;
    event.hello.set_worker(absl::StrCat("w", worker));
    event.hello.set_device("cpu");
    event.hello.set_slots(2);
    event.hello.set_instance("one");
    event.hello.set_protocol(kProtocol);
    AddObserved(worker, event.hello);
    return Give(event);
  }
  Decision Heartbeat(int worker) {
    AgentHeartbeat event{absl::StrCat("w", worker), SessionOf(worker), {}};
    AddObserved(worker, event.heartbeat);
    return Give(event);
  }
  Decision Progress(int worker) { return Progress(worker, JobOf(worker)); }
  Decision Progress(int worker, const std::string& job) {
    AgentProgress event{absl::StrCat("w", worker), SessionOf(worker), {}};
    event.progress.set_job_id(job);
    event.progress.set_attempt(1);
    event.progress.mutable_progress()->set_step(++step_);
    return Give(event);
  }
  Decision Checkpoint(int worker) {
    AgentReport event = ReportOf(worker, JobOf(worker));
    event.report.mutable_checkpoint()->mutable_checkpoint()->set_step(++step_);
    event.report.mutable_checkpoint()->mutable_checkpoint()->set_manifest(absl::StrCat("m", step_));
    return Give(event);
  }
  std::string JobOf(int worker) const { return *state_.index.by_worker.at(absl::StrCat("w", worker)).begin(); }

  // All jobs but the kept ones must not be visited.
  void Hide(const std::function<bool(const JobRecord&)>& keep) {
    erase_if(state_.jobs, [&](const auto& job) { return !keep(job.second); });
  }
  State& state() { return state_; }
  Soft& soft() { return soft_; }
  absl::Time now() const { return now_; }

 private:
  uint64_t SessionOf(int worker) const { return soft_.workers.at(absl::StrCat("w", worker)).session; }
  AgentReport ReportOf(int worker, const std::string& job) {
    AgentReport event{absl::StrCat("w", worker), SessionOf(worker), {}};
    event.report.set_sequence(++sequence_);
    event.report.set_job_id(job);
    event.report.set_attempt(1);
    return event;
  }
  template <typename Message>
  void AddObserved(int worker, Message& message) const {
    const muster::internal::v1::DesiredState desired = DesiredStateOf(state_, absl::StrCat("w", worker));
    for (const muster::internal::v1::Assignment& assignment : desired.assignments()) {
      auto& observed = *message.add_attempts();
      observed.set_job_id(assignment.job_id());
      observed.set_attempt(assignment.attempt());
      for (const auto& rank : assignment.ranks()) observed.add_running_ranks(rank.rank());
    }
  }
  void StartAll(int worker) {
    const muster::internal::v1::DesiredState desired = DesiredStateOf(state_, absl::StrCat("w", worker));
    for (const muster::internal::v1::Assignment& assignment : desired.assignments()) {
      AgentReport prepared = ReportOf(worker, assignment.job_id());
      prepared.report.mutable_prepared();
      Give(prepared);
      for (const auto& rank : assignment.ranks()) {
        AgentReport started = ReportOf(worker, assignment.job_id());
        started.report.mutable_rank_started()->set_rank(rank.rank());
        Give(started);
      }
    }
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  State state_;
  Soft soft_;
  uint64_t session_ = 0, sequence_ = 0, step_ = 0;
};

bool IsOn(const std::string& worker, const JobRecord& record) {
  return record.has_running() && record.running().grants(0).worker() == worker;
}

TEST(Visits, AnAgentsEventsVisitTheJobsOfItsWorkerAlone) {
  Cluster cluster(10, 500);
  cluster.Hide([](const JobRecord& record) { return IsOn("w0", record); });
  EXPECT_NO_THROW({
    cluster.Heartbeat(0);
    cluster.Progress(0);
    cluster.Checkpoint(0);
    cluster.Hello(0);
  });
  EXPECT_EQ(DesiredStateOf(cluster.state(), "w0").assignments_size(), 2);
}

TEST(Visits, ATickVisitsNoJobThatWaits) {
  Cluster cluster(10, 500);
  cluster.Hide([](const JobRecord& record) { return record.has_running(); });
  EXPECT_NO_THROW(cluster.Give(Tick{}));
}

TEST(Visits, ATickVisitsNoAttemptThatHasMovedLately) {
  Cluster cluster(10, 20);
  for (int worker = 0; worker < 10; ++worker) {
    for (const std::string& job : cluster.state().index.by_worker.at(absl::StrCat("w", worker))) cluster.Progress(worker, job);
  }
  cluster.Give(Tick{});
  for (int i = 0; i < 5; ++i) {  // longer than a worker counts as fresh
    cluster.Pass();
    EXPECT_EQ(cluster.soft().cluster.refreshed().size(), 0) << "every worker was heard";
  }
  cluster.Hide([](const JobRecord&) { return false; });
  EXPECT_THAT(cluster.soft().goodput.TakeTouched(), testing::IsEmpty());
  EXPECT_NO_THROW(cluster.Give(Tick{}));
}

TEST(Visits, APlanVisitsTheFirstJobThatCannotBePlacedAndNoneBehindIt) {
  Cluster cluster(10, 500);
  for (const int more : {0, 400}) {
    for (int i = 0; i < more; ++i) cluster.Submit(500 + i);
    cluster.Give(Plan{});
    EXPECT_EQ(cluster.soft().queue.visited, 1) << more;
    EXPECT_EQ(cluster.soft().cluster.refreshed().size(), 0) << "nothing has changed";
  }
  const JobRecord head = cluster.state().jobs.at("j20");
  EXPECT_EQ(WaitingReason(head, cluster.soft()).text, "needs 1 slot, 0 free");
  EXPECT_EQ(WaitingReason(cluster.state().jobs.at("j700"), cluster.soft()).text, "waits for its turn behind job j20");
  cluster.Hide([](const JobRecord& record) { return record.job().id() == "j20"; });
  EXPECT_NO_THROW(cluster.Give(Plan{}));
}

TEST(Visits, APlanLooksAtABoundedNumberOfJobsToBackfill) {
  Cluster cluster(10, 19);
  cluster.Submit(19, 2);  // 20 slots, of which one is free
  for (int i = 0; i < 400; ++i) cluster.Submit(20 + i);
  cluster.Give(Plan{});
  EXPECT_EQ(cluster.soft().queue.visited, 1 + kMostBackfillLooks);
  EXPECT_EQ(WaitingReason(cluster.state().jobs.at("j20"), cluster.soft()).text,
            "waits for its turn behind job j19: the free slots are reserved for that job, which may need them at any moment");
  EXPECT_EQ(WaitingReason(cluster.state().jobs.at("j419"), cluster.soft()).text, "waits for its turn behind job j19");
  cluster.Hide([&](const JobRecord& record) { return record.sequence() <= 20 + kMostBackfillLooks; });
  EXPECT_NO_THROW(cluster.Give(Plan{}));
}

TEST(Visits, AnEstimateOfSecondsVisitsJobsOfTheSameModelAlone) {
  Cluster cluster(10, 500);
  cluster.Hide([](const JobRecord& record) { return record.sequence() > 1'000'000; });
  muster::v1::Job planned;
  planned.mutable_resolved()->set_model_manifest("another");
  planned.mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  planned.mutable_spec()->mutable_resources()->mutable_slots()->set_min(1);
  planned.mutable_spec()->mutable_resources()->mutable_slots()->set_max(4);
  muster::v1::TrainingPreview preview;
  preview.set_total_steps(1);
  preview.set_tokens_per_step(1);
  EXPECT_NO_THROW(EstimateSeconds(cluster.state(), cluster.soft(), planned, preview));
  EXPECT_EQ(preview.notes_size(), 1);
}

TEST(Visits, JobsThatAreTooWideForTheClusterAreVisitedOncePerWidth) {
  Cluster cluster(2, 0);
  for (int i = 0; i < 300; ++i) cluster.Submit(i, 5 + i % 2);
  cluster.Submit(300);
  EXPECT_EQ(cluster.Give(Plan{}).records.size(), 1) << "a narrow one behind them is placed";
  EXPECT_EQ(cluster.soft().queue.visited, 3);
}

TEST(Visits, AfterAChangeAPlanLooksAtTheWorkersThatChangedAlone) {
  Cluster cluster(40, 500);
  cluster.Give(JobCommand{1, Verb::kCancel, cluster.JobOf(7), "ada", ""});
  cluster.Give(Plan{});
  EXPECT_EQ(cluster.soft().cluster.refreshed().size(), 1);
}

TEST(Visits, AListReadsItsPage) {
  Cluster cluster(10, 500);
  cluster.Hide([](const JobRecord& record) { return record.sequence() > 498; });
  muster::v1::ListJobsRequest request;
  request.set_page_size(2);
  for (const bool active : {true, false}) {
    request.set_active_only(active);
    EXPECT_NO_THROW(EXPECT_EQ(ViewJobs(cluster.state(), cluster.soft(), request)->jobs_size(), 2));
  }
}

// The indexes that are kept up to date equal those computed from the state.
TEST(Visits, TheIndexOfTheClusterIsWhatASnapshotOfItHas) {
  Cluster cluster(10, 25);
  cluster.Give(JobCommand{1, Verb::kCancel, cluster.JobOf(3), "ada", ""});
  cluster.Give(DrainWorker{2, "w4", false, "ada", ""});
  ClusterIndex index = cluster.soft().cluster;
  index.Refresh(cluster.state(), cluster.soft(), cluster.now());
  std::vector<WorkerSlots> kept;
  for (const auto& [name, slots] : index.workers()) kept.push_back(slots);
  EXPECT_EQ(kept, SnapshotOf(cluster.state(), cluster.soft(), cluster.now()).workers);
}

}  // namespace
}  // namespace muster
