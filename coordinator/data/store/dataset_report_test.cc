#include "coordinator/data/store/dataset_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"

namespace muster {
namespace {

using testing::Pair;
using testing::UnorderedElementsAre;

class DatasetReportTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = MakeScratchFolder(testing::TempDir(), "report").value();
    writer_ = DatasetWriter::Create(root_).value();
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  uint32_t Query(const std::string& id, const std::string& text) { return writer_->AddQuery(id, text).value(); }
  void Judge(const std::string& split, uint32_t query, const std::string& text, float grade,
             const std::string& source = "human", bool hard_negative = false) {
    const uint32_t passage = writer_->AddPassage("", text).value();
    const uint32_t document = writer_->AddDocument(text, passage).value();
    writer_->AddJudgment(split, query,
                         {.document = document,
                          .passage = passage,
                          .grade = grade,
                          .source = writer_->AddSource(source).value(),
                          .hard_negative = hard_negative});
  }
  muster::v1::ImportReport Report() {
    EXPECT_TRUE(writer_->Finish().ok());
    muster::v1::ImportReport report;
    DescribeDataset(*Dataset::Open(root_).value(), report);
    return report;
  }

  std::filesystem::path root_;
  std::unique_ptr<DatasetWriter> writer_;
};

TEST_F(DatasetReportTest, CountsGradesAndSources) {
  const uint32_t query = Query("1", "a");
  Judge("train", query, "b", 2);
  Judge("train", query, "c", 2, "llm");
  Judge("train", query, "d", 0);
  Judge("train", query, "e", 1, "mined", true);
  const auto report = Report();
  EXPECT_THAT(report.grades(), UnorderedElementsAre(Pair("0", 1u), Pair("2", 2u))) << "a hard negative has no grade";
  EXPECT_THAT(report.sources(), UnorderedElementsAre(Pair("human", 2u), Pair("llm", 1u), Pair("mined", 1u)));
}

TEST_F(DatasetReportTest, ManyGradesAreCountedInTenRanges) {
  const uint32_t query = Query("1", "a");
  for (int i = 0; i <= 100; ++i) Judge("train", query, absl::StrCat("d", i), 1 + 0.01f * i);
  const auto report = Report();
  EXPECT_EQ(report.grades_size(), 10);
  uint64_t judgments = 0;
  for (const auto& [range, count] : report.grades()) judgments += count;
  EXPECT_EQ(judgments, 101u);
  EXPECT_TRUE(report.grades().contains("1 to 1.1"));
}

TEST_F(DatasetReportTest, TrainQueriesOfTestAreFoundByNormalizedText) {
  Judge("train", Query("1", "what  is it"), "b", 1);
  Judge("train", Query("2", "other"), "c", 1);
  Judge("test", Query("3", " what is\u00a0it "), "d", 1);
  const uint32_t both = Query("4", "both");
  Judge("train", both, "e", 1);
  Judge("dev", both, "f", 1);
  EXPECT_EQ(Report().train_queries_in_test(), 2u);
}

TEST_F(DatasetReportTest, OneSplitSharesNoQueries) {
  Judge("train", Query("1", "a"), "b", 1);
  Judge("train", Query("2", "a"), "c", 1);
  EXPECT_EQ(Report().train_queries_in_test(), 0u);
}

TEST_F(DatasetReportTest, CountsEmptyQueriesAndThoseWithoutAPositive) {
  Judge("train", Query("1", "a"), "b", 1);
  Judge("train", Query("2", " \u3000 "), "c", 1);
  Judge("test", Query("3", "judged"), "d", 0);
  Judge("test", Query("4", "negative"), "e", 1, "human", true);
  Query("5", "unjudged");
  const auto report = Report();
  EXPECT_EQ(report.empty_queries(), 1u);
  EXPECT_EQ(report.queries_without_positive(), 3u);
}

}  // namespace
}  // namespace muster
