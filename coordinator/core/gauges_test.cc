#include "coordinator/core/gauges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/metrics/catalogue.h"

namespace muster {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(10000);

JobRecord Job(const std::string& id, uint64_t sequence, muster::v1::JobPhase phase) {
  JobRecord record;
  record.mutable_job()->set_id(id);
  record.mutable_job()->set_phase(phase);
  record.mutable_job()->set_owner("ana");
  record.mutable_job()->mutable_spec()->set_name("n-" + id);
  record.mutable_job()->mutable_spec()->mutable_resources()->set_queue("default");
  record.mutable_job()->mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  record.mutable_job()->mutable_spec()->mutable_resources()->mutable_slots()->set_min(2);
  record.set_sequence(sequence);
  if (phase == muster::v1::JOB_PHASE_QUEUED) *record.mutable_waiting_since() = ToProto(kNow - absl::Seconds(30));
  if (phase == muster::v1::JOB_PHASE_TRAINING) {
    record.set_last_attempt(1);
    record.mutable_running()->set_number(1);
    *record.mutable_running()->mutable_started() = ToProto(kNow - absl::Seconds(100));
    journal::v1::StoredAttempt& info = *record.mutable_job()->add_attempts();
    info.set_number(1);
    for (uint32_t rank = 0; rank < 2; ++rank) {
      record.mutable_running()->add_ranks();
      info.add_ranks()->set_worker("w1");
      info.mutable_ranks(rank)->set_slot(rank);
    }
  }
  return record;
}

void AddWorker(Soft& soft, const std::string& name, uint32_t slots) {
  SoftWorker& worker = soft.workers[name];
  worker.hello.set_worker(name);
  worker.hello.set_device("cpu");
  worker.hello.set_slots(slots);
  worker.session = 1;
  worker.last_heard = kNow - absl::Seconds(2);
}

State StateOf(const std::vector<JobRecord>& jobs) {
  State state;
  for (const JobRecord& job : jobs) EXPECT_TRUE(Apply(RecordOf(job), state).ok());
  return state;
}

std::map<std::string, double> Values(const State& state, const Soft& soft) {
  std::map<std::string, double> values;
  for (const GaugeSample& sample : GaugesOf(state, soft, kNow)) {
    const std::string series = absl::StrCat(sample.family, " ", absl::StrJoin(sample.labels, " "));
    EXPECT_TRUE(values.emplace(series, sample.value).second) << series << " is there twice";
  }
  return values;
}

struct Training {
  State state = StateOf({Job("a", 1, muster::v1::JOB_PHASE_TRAINING), Job("b", 2, muster::v1::JOB_PHASE_QUEUED),
                         Job("c", 3, muster::v1::JOB_PHASE_FAILED)});
  Soft soft;
  Training() {
    soft.started = kNow - absl::Hours(1);
    AddWorker(soft, "w1", 4);
    SoftJob& job = soft.jobs["a"];
    job.attempt = 1;
    job.changed = kNow - absl::Seconds(7);
    job.progress.set_step(12);
    job.progress.set_activity("training");
    job.progress.set_positive_entropy(std::log(3.0));
    job.progress.set_mean_positive(0.8);
    job.progress.add_positive_weights(0.75);
    job.progress.add_positive_weights(0.25);
    job.progress.set_noise_weight(0.125);
    (*job.progress.mutable_seconds())["encode"] = 0.5;
    (*job.progress.mutable_seconds())["other"] = 0.125;
  }
};

TEST(Gauges, EvaluationsOfTwoSplitsAreTwoSeries) {
  Training cluster;
  JobRecord evaluated = cluster.state.jobs.at("a");
  for (const auto& [split, value] : {std::pair("dev", 0.5), std::pair("test", 0.25), std::pair("dev", 0.75)}) {
    muster::v1::Evaluation& evaluation = *evaluated.mutable_job()->add_evaluations();
    evaluation.set_dataset("scifact");
    evaluation.set_split(split);
    (*evaluation.mutable_metrics())["ndcg@10"] = value;
  }
  ASSERT_TRUE(Apply(RecordOf(evaluated), cluster.state).ok());
  std::map<std::vector<std::string>, double> series;
  for (const GaugeSample& sample : GaugesOf(cluster.state, cluster.soft, kNow)) {
    if (sample.family == std::string("muster_job_evaluation")) series[sample.labels] = sample.value;
  }
  EXPECT_EQ(series, (std::map<std::vector<std::string>, double>{{{"a", "scifact", "dev", "ndcg@10"}, 0.75},
                                                                {{"a", "scifact", "test", "ndcg@10"}, 0.25}}));
}

TEST(Gauges, EverySampleIsDeclared) {
  Training cluster;
  JobRecord evaluated = cluster.state.jobs.at("a");
  (*evaluated.mutable_job()->add_evaluations()->mutable_metrics())["ndcg@10"] = 0.5;
  ASSERT_TRUE(Apply(RecordOf(evaluated), cluster.state).ok());
  std::set<std::string> seen;
  for (const GaugeSample& sample : GaugesOf(cluster.state, cluster.soft, kNow)) {
    const MetricFamily* family = FindMetric(sample.family);
    ASSERT_NE(family, nullptr) << sample.family;
    seen.insert(sample.family);
    EXPECT_EQ(family->type, MetricType::kGauge);
    ASSERT_EQ(family->labels.size(), sample.labels.size()) << sample.family;
    for (size_t i = 0; i < sample.labels.size(); ++i) {
      const auto& closed = family->labels[i].values;
      EXPECT_TRUE(closed.empty() || std::find(closed.begin(), closed.end(), sample.labels[i]) != closed.end())
          << sample.family << " " << sample.labels[i];
    }
  }
  for (const MetricFamily& family : JobMetricFamilies()) {
    EXPECT_TRUE(seen.contains(std::string(family.name))) << family.name << " is never set";
  }
}

TEST(Gauges, TellOfJobsThatRunAndThatWait) {
  const Training cluster;
  const auto values = Values(cluster.state, cluster.soft);
  EXPECT_EQ(values.at("muster_job_step a"), 12);
  EXPECT_EQ(values.at("muster_job_slots a"), 2);
  EXPECT_EQ(values.at("muster_job_slots b"), 0);
  EXPECT_EQ(values.at("muster_job_progress_age_seconds a"), 7);
  EXPECT_EQ(values.at("muster_job_checkpoint_age_seconds a"), 100);
  EXPECT_NEAR(values.at("muster_job_effective_positives a"), 3, 1e-12);
  EXPECT_EQ(values.at("muster_job_step_seconds a encode"), 0.5);
  EXPECT_EQ(values.at("muster_job_step_seconds a other"), 0.125);
  EXPECT_EQ(values.at("muster_job_mean_similarity a positive"), 0.8);
  EXPECT_EQ(values.at("muster_job_positive_weight a 1"), 0.75);
  EXPECT_EQ(values.at("muster_job_positive_weight a 2"), 0.25);
  EXPECT_FALSE(values.contains("muster_job_positive_weight a 3")) << "no query has a third positive";
  EXPECT_EQ(values.at("muster_job_noise_weight a"), 0.125);
  EXPECT_EQ(values.at("muster_job_waiting_seconds a"), 0);
  EXPECT_EQ(values.at("muster_job_waiting_seconds b"), 30);
  EXPECT_EQ(values.at("muster_job_placeable a"), 0);
  EXPECT_EQ(values.at("muster_job_placeable b"), 1);
  EXPECT_EQ(values.at("muster_job_info b n-b default ana"), 1);
  EXPECT_EQ(values.at("muster_queue_jobs default waiting"), 1);
  EXPECT_EQ(values.at("muster_queue_jobs default running"), 1);
  EXPECT_EQ(values.at("muster_queue_oldest_wait_seconds default"), 30);
  EXPECT_EQ(values.at("muster_slots used"), 2);
  EXPECT_EQ(values.at("muster_slots free"), 2);
  EXPECT_EQ(values.at("muster_jobs failed"), 1);
  EXPECT_EQ(values.at("muster_jobs training"), 1);
  EXPECT_EQ(values.at("muster_heartbeat_age_seconds w1"), 2);
}

TEST(Gauges, AJobThatNeedsMoreThanIsFreeIsNotPlaceable) {
  Training cluster;
  cluster.soft.workers["w1"].hello.set_slots(3);
  EXPECT_EQ(Values(cluster.state, cluster.soft).at("muster_job_placeable b"), 0);
}

TEST(Gauges, ACheckpointResetsItsAgeButOneOfAnEarlierAttemptDoesNotCountTheTimeBetween) {
  Training cluster;
  JobRecord job = cluster.state.jobs.at("a");
  muster::v1::CheckpointInfo& checkpoint = *job.mutable_job()->add_checkpoints();
  checkpoint.set_step(10);
  *checkpoint.mutable_time() = ToProto(kNow - absl::Hours(5));
  ASSERT_TRUE(Apply(RecordOf(job), cluster.state).ok());
  EXPECT_EQ(Values(cluster.state, cluster.soft).at("muster_job_checkpoint_age_seconds a"), 100);
  *job.mutable_job()->mutable_checkpoints(0)->mutable_time() = ToProto(kNow - absl::Seconds(4));
  ASSERT_TRUE(Apply(RecordOf(job), cluster.state).ok());
  EXPECT_EQ(Values(cluster.state, cluster.soft).at("muster_job_checkpoint_age_seconds a"), 4);
  EXPECT_EQ(Values(cluster.state, cluster.soft).at("muster_job_checkpoint_step a"), 10);
}

TEST(Gauges, EndedJobsHaveNoSeries) {
  Training cluster;
  JobRecord job = cluster.state.jobs.at("a");
  job.mutable_job()->set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  job.clear_running();
  ASSERT_TRUE(Apply(RecordOf(job), cluster.state).ok());
  for (const auto& [name, value] : Values(cluster.state, cluster.soft)) {
    EXPECT_EQ(name.find("muster_job_"), name.find(" b") == std::string::npos ? std::string::npos : 0) << name;
  }
}

TEST(Gauges, TheSeriesOfJobsAreBoundedAndRunningOnesComeFirst) {
  std::vector<JobRecord> jobs;
  for (uint64_t i = 0; i < kMaxMeasuredJobs + 5; ++i) {
    jobs.push_back(Job(absl::StrCat("q", i), i + 1, muster::v1::JOB_PHASE_QUEUED));
  }
  jobs.push_back(Job("late", kMaxMeasuredJobs + 100, muster::v1::JOB_PHASE_TRAINING));
  const auto values = Values(StateOf(jobs), Soft());
  size_t infos = 0;
  for (const auto& [name, value] : values) infos += name.rfind("muster_job_info ", 0) == 0;
  EXPECT_EQ(infos, kMaxMeasuredJobs);
  EXPECT_TRUE(values.contains("muster_job_slots late"));
  EXPECT_TRUE(values.contains("muster_job_slots q998"));
  EXPECT_FALSE(values.contains("muster_job_slots q999"));
}

}  // namespace
}  // namespace muster
