#include "client/doctor/cluster_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

PeerCertificate Good() {
  return {"coordinator",
          "coordinator",
          {"localhost", "*.muster", "10.0.0.1"},
          kNow - absl::Hours(1),
          kNow + absl::Hours(24 * 100),
          ""};
}
Findings Check(const PeerCertificate& facts, const std::string& host = "localhost") {
  return CheckCertificate("certificate", facts, {"coordinator"}, host, kNow);
}

TEST(CheckCertificate, AGoodOneIsWell) {
  ASSERT_EQ(Check(Good()).size(), 1u);
  EXPECT_EQ(Check(Good())[0].verdict, Verdict::kOk);
  EXPECT_EQ(Check(Good(), "data.muster")[0].verdict, Verdict::kOk) << "a wildcard covers one label";
}

TEST(CheckCertificate, NamesWhatIsWrong) {
  PeerCertificate facts = Good();
  facts.expires = kNow - absl::Seconds(1);
  facts.distrust = "certificate has expired";
  ASSERT_EQ(Check(facts).size(), 1u) << "one cause, one line";
  EXPECT_THAT(Check(facts)[0].detail, HasSubstr("expired on 2027-01-15"));
  EXPECT_EQ(Check(facts)[0].verdict, Verdict::kProblem);

  facts = Good();
  facts.expires = kNow + absl::Hours(24 * 5 + 1);
  EXPECT_EQ(Check(facts)[0].verdict, Verdict::kWarning);
  EXPECT_THAT(Check(facts)[0].detail, HasSubstr("expires in 5 days"));

  facts = Good();
  facts.begins = kNow + absl::Hours(1);
  EXPECT_THAT(Check(facts)[0].detail, HasSubstr("valid only from"));

  facts = Good();
  facts.distrust = "self-signed certificate in certificate chain";
  EXPECT_THAT(Check(facts)[0].detail, HasSubstr("was not issued by the authority"));

  facts = Good();
  facts.role = "worker";
  EXPECT_THAT(Check(facts)[0].detail, HasSubstr("has role \"worker\""));

  EXPECT_THAT(Check(Good(), "a.b.muster")[0].detail, HasSubstr("not for a.b.muster"));
}

TEST(CheckReach, TellsRefusedFromTlsFromDenied) {
  EXPECT_THAT(CheckReach("coordinator", {"h:7070", "connection refused", "", absl::OkStatus()}).remedy,
              HasSubstr("port 7070"));
  EXPECT_THAT(CheckReach("coordinator", {"h:7070", "", "bad handshake", absl::OkStatus()}).detail,
              HasSubstr("TLS fails"));
  EXPECT_THAT(CheckReach("coordinator", {"h:7070", "", "", absl::PermissionDeniedError("needs role user")}).detail,
              HasSubstr("refuses you"));
  EXPECT_EQ(CheckReach("coordinator", {"h:7070", "", "", absl::OkStatus()}).verdict, Verdict::kOk);
}

TEST(CheckClock, AllowsForTheRoundTrip) {
  EXPECT_EQ(CheckClock("coordinator", absl::Seconds(3), absl::Seconds(2)).verdict, Verdict::kOk);
  EXPECT_EQ(CheckClock("coordinator", absl::Seconds(3), absl::Milliseconds(5)).verdict, Verdict::kWarning);
  const Finding bad = CheckClock("coordinator", -absl::Minutes(5), absl::Milliseconds(5));
  EXPECT_EQ(bad.verdict, Verdict::kProblem);
  EXPECT_THAT(bad.detail, HasSubstr("5m behind"));
}

TEST(CheckVersion, OneStepApartIsAWarningAndTwoAreAProblem) {
  EXPECT_EQ(CheckVersion("coordinator", "1.2.0", "1.2.7").verdict, Verdict::kOk);
  EXPECT_EQ(CheckVersion("coordinator", "1.3.0", "1.2.7").verdict, Verdict::kWarning);
  EXPECT_EQ(CheckVersion("coordinator", "1.4.0", "1.2.7").verdict, Verdict::kProblem);
  EXPECT_EQ(CheckVersion("coordinator", "2.2.0", "1.2.7").verdict, Verdict::kProblem);
  EXPECT_EQ(CheckVersion("coordinator", "", "1.2.7").verdict, Verdict::kWarning);
}

TEST(CheckWorkers, NamesThoseThatNeedALook) {
  muster::v1::ListWorkersResponse workers;
  EXPECT_THAT(CheckWorkers(workers, "1.0.0", kNow)[0].detail, HasSubstr("there are none"));
  const auto add = [&](const char* name, muster::v1::WorkerState state, int seconds_ago) {
    auto* worker = workers.add_workers();
    worker->set_name(name);
    worker->set_state(state);
    worker->set_version("1.0.0");
    worker->add_slots();
    worker->mutable_last_heard()->set_seconds(absl::ToUnixSeconds(kNow) - seconds_ago);
    return worker;
  };
  add("good", muster::v1::WORKER_STATE_READY, 1);
  add("silent", muster::v1::WORKER_STATE_SILENT, 60)->set_reason("not heard for 60 s");
  add("draining", muster::v1::WORKER_STATE_DRAINING, 1);
  add("slow", muster::v1::WORKER_STATE_READY, 12);
  add("old", muster::v1::WORKER_STATE_READY, 1)->set_version("0.9.0");
  add("empty", muster::v1::WORKER_STATE_READY, 1)->clear_slots();
  const Findings findings = CheckWorkers(workers, "1.0.0", kNow);
  ASSERT_EQ(findings.size(), 6u);
  EXPECT_EQ(findings[0].what, "worker silent");
  EXPECT_EQ(findings[0].verdict, Verdict::kProblem);
  EXPECT_EQ(findings[1].what, "worker draining");
  EXPECT_THAT(findings[2].detail, HasSubstr("12 s ago"));
  EXPECT_THAT(findings[3].what, HasSubstr("worker old"));
  EXPECT_THAT(findings[4].detail, HasSubstr("no slots"));
  EXPECT_THAT(findings[5].detail, HasSubstr("1 of 6 are well"));
}

TEST(CheckWorkers, IsNotWellWhereNoneTakesRanks) {
  muster::v1::ListWorkersResponse workers;
  for (const char* name : {"w1", "w2"}) {
    auto* worker = workers.add_workers();
    worker->set_name(name);
    worker->set_state(muster::v1::WORKER_STATE_DRAINING);
    worker->add_slots();
    worker->mutable_last_heard()->set_seconds(absl::ToUnixSeconds(kNow));
  }
  const Findings findings = CheckWorkers(workers, "1.0.0", kNow);
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(findings[2].verdict, Verdict::kProblem);
  EXPECT_THAT(findings[2].detail, HasSubstr("none of 2 takes new ranks"));
}

TEST(CheckJobs, NamesThoseThatNoWorkerCouldEverRun) {
  muster::v1::ListWorkersResponse workers;
  auto* worker = workers.add_workers();
  worker->set_device(muster::v1::DEVICE_CPU);
  worker->add_slots();
  worker->add_slots();
  std::vector<muster::v1::Job> jobs(3);
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].set_id(std::string(1, static_cast<char>('a' + i)));
    jobs[i].set_phase(muster::v1::JOB_PHASE_QUEUED);
    jobs[i].mutable_spec()->mutable_resources()->mutable_slots()->set_min(2);
    jobs[i].mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  }
  EXPECT_EQ(CheckJobs(jobs, workers)[0].verdict, Verdict::kOk);
  jobs[0].mutable_spec()->mutable_resources()->mutable_slots()->set_min(3);
  jobs[1].mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_GPU);
  Findings findings = CheckJobs(jobs, workers);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_THAT(findings[0].what, HasSubstr("job a"));
  EXPECT_THAT(findings[0].detail, HasSubstr("needs 3 CPU slots, and all workers together have 2"));
  EXPECT_THAT(findings[1].detail, HasSubstr("needs 2 GPU slots, and all workers together have 0"));
  jobs[0].set_phase(muster::v1::JOB_PHASE_TRAINING);
  EXPECT_EQ(CheckJobs(jobs, workers).size(), 1u) << "it runs";
}

}  // namespace
}  // namespace muster
