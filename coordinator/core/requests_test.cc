#include "coordinator/core/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/spec/job_spec.h"
#include "coordinator/core/step.h"
#include "coordinator/core/testing/snapshot.h"

namespace muster {
namespace {

using testing::HasSubstr;

class Requests : public testing::Test {
 protected:
  Reply Give(const Event& event) {
    const Decision decision = Step(state_, soft_, event, absl::FromUnixSeconds(1000000));
    for (const Record& record : decision.records) EXPECT_TRUE(Apply(record, state_).ok());
    for (const Effect& effect : decision.effects) {
      if (const auto* reply = std::get_if<Reply>(&effect)) return *reply;
    }
    return {0, absl::InternalError("no reply"), ""};
  }
  static SubmitJob Submission(const std::string& job, const std::string& request, uint64_t steps) {
    SubmitJob submit;
    submit.job_id = job;
    submit.owner = "ada";
    submit.request_id = request;
    submit.spec.set_name("n");
    submit.spec.mutable_data()->set_train("d");
    submit.spec.mutable_model()->set_from("m");
    submit.spec.mutable_duration()->set_steps(steps);
    FillDefaults(submit.spec);
    return submit;
  }
  void Restart() {
    absl::StatusOr<State> loaded = Reloaded(state_);
    ASSERT_TRUE(loaded.ok());
    state_ = *std::move(loaded);
  }
  void AddWorker(const std::string& name) {
    AgentHello hello;
    hello.session = ++sessions_;
    hello.hello.set_worker(name);
    hello.hello.set_device("cpu");
    hello.hello.set_slots(1);
    Give(hello);
  }

  State state_;
  Soft soft_;
  uint64_t sessions_ = 0;
};

TEST_F(Requests, TheSameSubmissionAgainIsTheSameJob) {
  EXPECT_EQ(Give(Submission("a", "r", 60)).subject, "a");
  EXPECT_EQ(Give(Submission("b", "r", 60)).subject, "a");
  Restart();
  EXPECT_EQ(Give(Submission("c", "r", 60)).subject, "a");
  EXPECT_EQ(state_.jobs.size(), 1);
}

TEST_F(Requests, AnotherSpecificationUnderAUsedIdIsRefusedWithTheJobThatHasIt) {
  Give(Submission("a", "r", 60));
  Restart();
  const Reply reply = Give(Submission("b", "r", 70));
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(reply.status.message(), HasSubstr("request_id: \"r\" was used to submit job a"));
  EXPECT_EQ(state_.jobs.size(), 1);
}

TEST_F(Requests, ADeviceThatWasChosenForTheJobIsNotAnotherSpecification) {
  SubmitJob submit = Submission("a", "r", 60);
  ASSERT_EQ(submit.spec.resources().device(), muster::v1::DEVICE_AUTO);
  Give(submit);
  ASSERT_EQ(state_.jobs.at("a").job().spec().resources().device(), muster::v1::DEVICE_CPU);
  EXPECT_EQ(Give(submit).subject, "a");
  submit.spec.mutable_resources()->set_device(muster::v1::DEVICE_GPU);
  EXPECT_EQ(Give(submit).status.code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(Requests, AJobIsStoredWithTheDefaultsOfTheDeviceThatWasChosen) {
  const SubmitJob submit = Submission("a", "r", 60);
  ASSERT_FALSE(submit.spec.batch().has_micro_batch_tokens());
  Give(submit);
  const auto& batch = state_.jobs.at("a").job().spec().batch();
  EXPECT_EQ(batch.micro_batch_tokens(), 2048);
  EXPECT_EQ(batch.keep_activations(), uint64_t{4} << 30);
  EXPECT_EQ(Give(submit).subject, "a") << "the same submission again is the same job";
  state_.jobs.at("a").mutable_job()->mutable_spec()->mutable_batch()->set_micro_batch_tokens(16384);
  EXPECT_EQ(Give(submit).subject, "a") << "also where an older version decided";
}

TEST_F(Requests, DefaultsThatWereAddedSinceAreNotAnotherSpecification) {
  const SubmitJob submit = Submission("a", "r", 60);
  Give(submit);
  state_.jobs.at("a").mutable_job()->mutable_spec()->clear_checkpoint();  // as an older version wrote it
  EXPECT_EQ(Give(submit).subject, "a");
}

TEST_F(Requests, AnIdThatWasUsedForAnotherJobIsRefused) {
  Give(Submission("a", "", 60));
  Give(Submission("b", "", 60));
  EXPECT_TRUE(Give(JobCommand{1, Verb::kPause, "a", "ada", "r"}).status.ok());
  EXPECT_TRUE(Give(JobCommand{1, Verb::kPause, "a", "ada", "r"}).status.ok());
  Restart();
  const Reply reply = Give(JobCommand{1, Verb::kPause, "b", "ada", "r"});
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(reply.status.message(), HasSubstr("was used for job a"));
  EXPECT_EQ(state_.jobs.at("b").job().phase(), muster::v1::JOB_PHASE_QUEUED);
  EXPECT_TRUE(Give(JobCommand{1, Verb::kPause, "b", "bob", "r"}).status.ok());  // bob may use the same id as ada
}

TEST_F(Requests, AnIdThatWasUsedForAnotherWorkerIsRefused) {
  AddWorker("w1");
  AddWorker("w2");
  EXPECT_TRUE(Give(DrainWorker{1, "w1", false, "ada", "r"}).status.ok());
  Restart();
  const Reply reply = Give(DrainWorker{1, "w2", false, "ada", "r"});
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(reply.status.message(), HasSubstr("was used for worker w1"));
  EXPECT_FALSE(state_.workers.at("w2").draining());
}

}  // namespace
}  // namespace muster
