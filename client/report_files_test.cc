#include "client/report_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "common/retrieval/stored_run.h"

namespace muster {
namespace {

using testing::HasSubstr;

ReportIds Ids() { return {.queries = {"q1", "a,\"b\"", "q 3"}, .documents = {"d2", "d1", "two words"}}; }

QueryValues Values() {
  return {.queries = {0, 1}, .values = {{"mrr", {0.5, 1}}, {"ndcg@10", {0.25, 1. / 3}}, {"precision@5", {0.2, 0}}}};
}

TEST(QueryValuesCsv, HasNumbersIdsAndMetricsInTheOrderOfReports) {
  EXPECT_EQ(*QueryValuesCsv(Values(), Ids()),
            "number,query,ndcg@10,mrr,precision@5\n0,q1,0.25,0.5,0.2\n1,\"a,\"\"b\"\"\",0.3333333333333333,1,0\n");
  EXPECT_EQ(*QueryValuesCsv(Values(), std::nullopt),
            "number,ndcg@10,mrr,precision@5\n0,0.25,0.5,0.2\n1,0.3333333333333333,1,0\n");
  QueryValues more = Values();
  more.queries[1] = 3;
  EXPECT_TRUE(absl::IsDataLoss(QueryValuesCsv(more, Ids()).status()));
}

class TrecRun : public testing::Test {
 protected:
  TrecRun() : folder_(*MakeScratchFolder(testing::TempDir(), "trec")) {}
  ~TrecRun() override { std::filesystem::remove_all(folder_); }
  std::string Stored(const std::vector<StoredRanking>& rankings) {
    StoredRunWriter writer(folder_ / kStoredRunFile);
    for (const StoredRanking& ranking : rankings) writer.Add(ranking.query, ranking.documents, ranking.scores);
    EXPECT_TRUE(writer.Finish().ok());
    return *ReadFile(folder_ / kStoredRunFile);
  }
  absl::Status Write(const std::string& stored) { return WriteTrecRun(stored, Ids(), "first", (folder_ / "out.run").string()); }
  const std::filesystem::path folder_;
};

TEST_F(TrecRun, HasIdsRanksAndScoresThatReadBackAsTheSame) {
  const std::vector<uint32_t> documents = {1, 0};
  const std::vector<float> scores = {0.1f, -1.5e-7f};
  ASSERT_TRUE(Write(Stored({{0, documents, scores}})).ok());
  EXPECT_EQ(*ReadFile(folder_ / "out.run"), "q1 Q0 d1 1 0.1 first\nq1 Q0 d2 2 -1.5e-07 first\n");
}

TEST_F(TrecRun, WhatTheFormatCannotCarryIsRefusedAndLeavesNoFile) {
  const std::vector<uint32_t> blank = {2}, absent = {3}, fine = {0};
  const std::vector<float> score = {1};
  EXPECT_THAT(std::string(Write(Stored({{0, fine, score}, {1, blank, score}})).message()),
              HasSubstr("documents include \"two words\""));
  EXPECT_THAT(std::string(Write(Stored({{2, fine, score}})).message()), HasSubstr("queries include \"q 3\""));
  EXPECT_TRUE(absl::IsDataLoss(Write(Stored({{0, absent, score}}))));
  EXPECT_TRUE(absl::IsDataLoss(Write("MUSTRUN1x")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.run"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.run.partial"));
  const absl::Status status = WriteTrecRun(Stored({}), Ids(), "first", (folder_ / "absent" / "out.run").string());
  EXPECT_THAT(std::string(status.message()), HasSubstr("absent/out.run: cannot be written"));
}

}  // namespace
}  // namespace muster
