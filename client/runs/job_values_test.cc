#include "client/runs/job_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

JobValues Measured(const std::string& id) {
  JobValues one;
  one.job.set_id(id);
  one.job.mutable_spec()->set_name("eval-" + id);
  one.job.mutable_spec()->mutable_report()->set_dataset("scifact");
  one.job.mutable_spec()->mutable_report()->set_split("test");
  one.job.mutable_resolved()->set_report_dataset("0123456789abcdef");
  one.values = {.queries = {0, 2}, .values = {{"ndcg@10", {0.5, 1}}, {"mrr", {0, 0.25}}}};
  return one;
}

std::string Difference(const JobValues& b) {
  const absl::Status status = CheckSameQueries(Measured("a"), b);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("eval-a (a) and eval-b (b) cannot be compared query by query: "));
  return std::string(status.message());
}

TEST(CheckSameQueries, NamesWhatDiffers) {
  JobValues same = Measured("b");
  same.job.mutable_spec()->mutable_report()->set_dataset("another-name");
  EXPECT_TRUE(CheckSameQueries(Measured("a"), same).ok()) << "a name is not a content";
  JobValues content = Measured("b"), dataset = Measured("b"), split = Measured("b"), rule = Measured("b"),
      queries = Measured("b");
  content.job.mutable_resolved()->set_report_dataset("fedcba9876543210");
  EXPECT_THAT(Difference(content), HasSubstr("dataset scifact (0123456789ab), the second on other content of that name "
                                             "(fedcba987654)"));
  dataset.job.mutable_resolved()->set_report_dataset("fedcba9876543210");
  dataset.job.mutable_spec()->mutable_report()->set_dataset("nfcorpus");
  EXPECT_THAT(Difference(dataset), HasSubstr("the second on dataset nfcorpus (fedcba987654)"));
  split.job.mutable_spec()->mutable_report()->set_split("dev");
  EXPECT_THAT(Difference(split), HasSubstr("on split test, the second on split dev"));
  rule.job.mutable_spec()->mutable_report()->set_ignore_identical_ids(true);
  EXPECT_THAT(Difference(rule), HasSubstr("report.ignore_identical_ids"));
  queries.values.queries = {0, 3};
  EXPECT_THAT(Difference(queries), HasSubstr("values of 2 and 2 queries"));
}

TEST(RunOf, HasTheValuesOfTheMetricsAndNamesThoseThatAreMissing) {
  const auto run = RunOf(Measured("a"), {"mrr", "ndcg@10"});
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(run->queries, ElementsAre("0", "2"));
  EXPECT_THAT(run->values, ElementsAre(ElementsAre(0, 0.25), ElementsAre(0.5, 1)));
  EXPECT_THAT(std::string(RunOf(Measured("a"), {"map"}).status().message()),
              AllOf(HasSubstr("eval-a (a) has not measured map. It has ndcg@10, mrr."),
                    HasSubstr("muster eval --metric map.")));
  JobValues few = Measured("a");
  few.values = {.queries = {0}, .values = {{"mrr", {1}}}};
  EXPECT_TRUE(absl::IsInvalidArgument(RunOf(few, {"mrr"}).status()));
}

}  // namespace
}  // namespace muster
