#include "common/retrieval/judged_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/retrieval/testing/text_files.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

absl::StatusOr<JudgedRun> Judge(const TextFiles& files, std::string_view run, std::string_view qrels,
                                RankingRule rule = RankingRule::kMuster) {
  const auto read = RunFile::Read(files.Write("run", run));
  const auto judgments = Qrels::Read(files.Write("qrels", qrels));
  EXPECT_TRUE(read.ok() && judgments.ok()) << read.status() << judgments.status();
  auto judged = JudgeRun(*read, *judgments, {*ParseMetricName("mrr"), *ParseMetricName("recall@1")}, rule);
  if (!judged.ok()) return judged;
  for (std::string& note : judged->notes) note = Shortened(absl::UnknownError(note), files);
  return judged;
}

constexpr char kRun[] = "q1 Q0 a 1 2 t\nq1 Q0 b 2 1 t\nq2 Q0 c 1 1 t\nq9 Q0 a 1 1 t\n";
constexpr char kQrels[] = "q1 0 b 1\nq2 0 c 0\nq3 0 d 1\nq4 0 e 0\n";

TEST(JudgeRun, AQueryThatTheRunLacksCountsZeroAndOneWithoutARelevantDocumentIsLeftOut) {
  const TextFiles files;
  const auto judged = Judge(files, kRun, kQrels);
  ASSERT_TRUE(judged.ok()) << judged.status();
  EXPECT_THAT(judged->queries, ElementsAre("q1", "q3"));
  EXPECT_THAT(judged->values[0], ElementsAre(0.5, 0));
  EXPECT_THAT(judged->values[1], ElementsAre(0, 0));
  EXPECT_THAT(judged->notes, ElementsAre("qrels: 2 queries (the first: \"q2\") have no relevant document and are left out.",
                                         "run: query \"q9\" is not judged and is left out.",
                                         "run: query \"q3\" is missing and counts 0."));
}

TEST(JudgeRun, CountsAsTrecEvalWhereAskedTo) {
  const TextFiles files;
  const auto judged = Judge(files, kRun, kQrels, RankingRule::kTrecEval);
  ASSERT_TRUE(judged.ok()) << judged.status();
  EXPECT_THAT(judged->queries, ElementsAre("q1", "q2"));
  EXPECT_THAT(judged->values[0], ElementsAre(0.5, 0));
  EXPECT_THAT(judged->notes[2], HasSubstr("are missing and are left out"));
}

TEST(JudgeRun, SaysThatRanksContradictScores) {
  const TextFiles files;
  const auto distances = Judge(files, "q1 Q0 a 1 0.1 t\nq1 Q0 b 2 0.7 t\n", "q1 0 a 1\n");
  ASSERT_TRUE(distances.ok());
  EXPECT_THAT(distances->notes, ElementsAre("run: query \"q1\" has ranks that contradict its scores; the scores count."));
  EXPECT_THAT(Judge(files, "q1 Q0 a 1 0.7 t\nq1 Q0 b 2 0.1 t\n", "q1 0 a 1\n")->notes, IsEmpty());
}

TEST(JudgeRun, RefusesJudgmentsOfAnotherSet) {
  const TextFiles files;
  const absl::Status status = Judge(files, kRun, "1 0 a 1\n").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Shortened(status, files),
            "run: none of its queries is judged in qrels. The run begins with query \"q1\", the judgments with \"1\". Name the "
            "judgments of the same dataset and split.");
  EXPECT_THAT(Shortened(Judge(files, kRun, "q1 0 a 0\n").status(), files), HasSubstr("nothing can be measured"));
}

}  // namespace
}  // namespace muster
