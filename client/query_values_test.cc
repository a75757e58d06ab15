#include "client/query_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(QueryValues, AreReadByMetric) {
  const auto read = ParseQueryValues("query,mrr,ndcg@10\n0,0.5,1\n3,0,0.25\n");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->queries, ElementsAre(0, 3));
  EXPECT_THAT(read->values.at("ndcg@10"), ElementsAre(1, 0.25));
  EXPECT_THAT(read->values.at("mrr"), ElementsAre(0.5, 0));
  for (const char* broken : {"", "mrr\n1\n", "query,mrr\n0,0.5,2\n", "query,mrr\n0,nan\n", "query,mrr\n0,2\n",
                             "query,mrr\nq0,1\n",
                             "query,mrr\n3,1\n3,1\n"}) {
    EXPECT_TRUE(absl::IsDataLoss(ParseQueryValues(broken).status())) << broken;
  }
  EXPECT_THAT(std::string(ParseQueryValues("query,mrr\n0,1\n1,x\n").status().message()), HasSubstr("report_queries.csv:3"));
}

muster::v1::Job EndedJob() {
  muster::v1::Job job;
  job.set_id("k3v9x0qa");
  job.mutable_spec()->mutable_report()->set_dataset("scifact");
  job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  for (const char* label : {"untrained", "trained"}) job.add_evaluations()->set_label(label);
  return job;
}

TEST(QueryValues, AJobWithoutThemSaysWhy) {
  BlobClient blobs(nullptr);
  const auto error = [&](muster::v1::Job job) {
    const absl::Status status = FetchQueryValues(blobs, job).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    return std::string(status.message());
  };
  muster::v1::Job job = EndedJob();
  EXPECT_THAT(error(job), HasSubstr("older version"));
  job.set_phase(muster::v1::JOB_PHASE_TRAINING);
  job.set_step_log_manifest("of an attempt");
  EXPECT_THAT(error(job), HasSubstr("is training. Its values by query are stored at its end"));
  job.set_phase(muster::v1::JOB_PHASE_FAILED);
  EXPECT_THAT(error(job), HasSubstr("is failed, and has stored no values"));
  job.mutable_spec()->clear_report();
  EXPECT_THAT(error(job), HasSubstr("muster eval job:k3v9x0qa DATASET"));
}

TEST(QueryValues, BelongToTheTrainedModelOrToTheOneThatWasMeasured) {
  muster::v1::Job job = EndedJob();
  EXPECT_EQ(ReportOf(job), &job.evaluations(1));
  job.mutable_evaluations()->RemoveLast();
  EXPECT_EQ(ReportOf(job), nullptr);
  job.mutable_spec()->mutable_duration()->set_steps(0);
  EXPECT_EQ(ReportOf(job), &job.evaluations(0));
}

}  // namespace
}  // namespace muster
