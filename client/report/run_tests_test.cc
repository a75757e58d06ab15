#include "client/report/run_tests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "common/statistics/correction.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kSeed = 20261101;

// Two metrics for 200 queries. All runs share random values; each run adds `better` and a little noise.
JudgedRun RunWith(double better, uint64_t stream) {
  CounterRandom common(kSeed), own(MixKey(kSeed, stream));
  JudgedRun run;
  run.values.resize(2);
  for (int q = 0; q < 200; ++q) {
    run.queries.push_back(std::to_string(q));
    const double value = common.Uniform() + better + 0.1 * own.Uniform();
    run.values[0].push_back(value);
    run.values[1].push_back(value / 2);
  }
  run.notes = {"the same note"};
  return run;
}

RunTests Tested(const std::vector<JudgedRun>& runs) {
  std::vector<std::string> files;
  for (size_t r = 0; r < runs.size(); ++r) files.push_back(std::to_string(r) + ".run");
  return TestRuns("test.tsv", files, {"ndcg@10", "mrr"}, runs, 1);
}

TEST(TestRuns, ComparesEachRunWithTheFirst) {
  const RunTests tests = Tested({RunWith(0, 1), RunWith(0.2, 2), RunWith(-0.2, 3)});
  ASSERT_EQ(tests.means.size(), 3u);
  EXPECT_TRUE(tests.with_first[0].empty());
  EXPECT_NEAR(tests.with_first[1][0].difference.mean, 0.2, 0.02);
  EXPECT_NEAR(tests.with_first[2][0].difference.mean, -0.2, 0.02);
  EXPECT_EQ(tests.queries, 200u);
  EXPECT_THAT(tests.notes, testing::ElementsAre("the same note")) << "once";
}

TEST(TestRuns, CorrectsForAllMetricsOfAllRuns) {
  const RunTests tests = Tested({RunWith(0, 1), RunWith(0.01, 2), RunWith(0.2, 3)});
  std::vector<double> p;
  for (const auto& of_run : tests.with_first) {
    for (const MetricComparison& one : of_run) p.push_back(one.test.p);
  }
  ASSERT_EQ(p.size(), 4u);
  const std::vector<double> expected = HolmAdjusted(p);
  EXPECT_EQ(tests.with_first[1][0].p_holm, expected[0]);
  EXPECT_EQ(tests.with_first[2][1].p_holm, expected[3]);
  EXPECT_GT(tests.with_first[2][0].p_holm, tests.with_first[2][0].test.p);
}

TEST(RunTestsHtml, ShowsDifferencesOnlyWhereThereAreSeveral) {
  const std::vector<std::string> labels = {"a<b", "c"};
  const std::string two = RunTestsHtml(Tested({RunWith(0, 1), RunWith(0.2, 2)}), labels);
  EXPECT_THAT(two, HasSubstr("<th>p, corrected</th>"));
  EXPECT_THAT(two, HasSubstr("a&lt;b"));
  EXPECT_THAT(two, HasSubstr("&lt;0.0001"));
  const std::string one = RunTestsHtml(Tested({RunWith(0, 1)}), labels);
  EXPECT_THAT(one, HasSubstr("95% interval"));
  EXPECT_THAT(one, Not(HasSubstr("difference")));
  EXPECT_EQ(RunTestsHtml(RunTests(), labels), "");
}

}  // namespace
}  // namespace muster
