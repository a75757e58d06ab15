#include "coordinator/data/store/mined_dataset.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/random.h"
#include "coordinator/data/store/merge_add.h"

namespace muster {
namespace {

class MinedDatasetTest : public testing::Test {
 protected:
  void SetUp() override { root_ = MakeScratchFolder(testing::TempDir(), "mined").value(); }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // Ids are those that users give or, with `rows`, those that an import makes up; some texts occur under two ids.
  std::shared_ptr<const Dataset> Base(bool rows) {
    const auto folder = MakeScratchFolder(root_, "base").value();
    const auto writer = DatasetWriter::Create(folder).value();
    for (int d = 0; d < 12; ++d) {
      const uint32_t passage = writer->AddPassage(d % 2 == 0 ? "title" : "", absl::StrCat("told ", d < 10 ? d : d - 4)).value();
      EXPECT_TRUE(writer->AddDocument(rows ? absl::StrCat("p", d + 1) : absl::StrCat("p", 20 - d), passage).ok());
    }
    for (int q = 0; q < 5; ++q) {
      const std::string id = rows ? absl::StrCat("q", q + 1) : absl::StrCat("q", 9 - q);
      EXPECT_TRUE(writer->AddQuery(id, absl::StrCat("ask ", q % 4)).ok());
    }
    const uint16_t human = writer->AddSource("human").value();
    for (uint32_t q = 0; q < 5; ++q) {
      writer->AddJudgment("train", q, {.document = q, .passage = writer->passage_of(q), .source = human});
      writer->AddJudgment("test", q, {.document = q + 1, .passage = writer->passage_of(q + 1), .source = human});
    }
    EXPECT_TRUE(writer->Finish().ok());
    return Dataset::Open(folder).value();
  }
  std::shared_ptr<const Dataset> WithMined(const Dataset& base, const std::vector<MinedPair>& pairs) {
    const auto alone = MakeScratchFolder(root_, "alone").value();
    const auto writer = DatasetWriter::Create(alone).value();
    EXPECT_TRUE(WriteMined(base, pairs, "train", "mined", *writer).ok());
    const auto merged = MakeScratchFolder(root_, "merged").value();
    const auto out = DatasetWriter::Create(merged).value();
    int reports = 0;
    const absl::Status added = AddDataset(base, *Dataset::Open(alone).value(), *out, [&](double done) {
      EXPECT_GE(done, 0);
      ++reports;
      return absl::OkStatus();
    });
    EXPECT_TRUE(added.ok()) << added;
    EXPECT_GT(reports, 0);
    EXPECT_TRUE(out->Finish().ok());
    return Dataset::Open(merged).value();
  }

  std::filesystem::path root_;
};

TEST_F(MinedDatasetTest, AddedToItsDatasetItBringsTheNegativesAndNothingElse) {
  for (const bool rows : {false, true}) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const auto base = Base(rows);
      CounterRandom random(seed);
      std::map<uint32_t, std::vector<uint32_t>> expected;
      std::vector<MinedPair> pairs;
      for (uint32_t query = 0; query < 5; ++query) {
        for (uint32_t document = 11; document > 5; --document) {
          if (random.Below(2) == 0) continue;
          pairs.push_back({query, document});
          expected[query].push_back(document);
        }
      }
      const auto merged = WithMined(*base, pairs);
      ASSERT_EQ(merged->documents(), base->documents()) << "seed " << seed;
      ASSERT_EQ(merged->queries(), base->queries()) << "seed " << seed;
      for (uint32_t document = 0; document < 12; ++document) {
        EXPECT_EQ(merged->document_id(document), base->document_id(document));
      }
      ASSERT_EQ(merged->splits(), base->splits());
      for (uint32_t query = 0; query < 5; ++query) {
        EXPECT_EQ(merged->judgments(0, query).size(), 1u) << "split test is untouched";
        std::vector<uint32_t> found;
        for (const Judgment& judgment : merged->judgments(1, query)) {
          if (judgment.hard_negative == 0) continue;
          EXPECT_EQ(judgment.hard_negative, kHardNegative);
          EXPECT_EQ(merged->sources()[judgment.source], "mined");
          EXPECT_EQ(judgment.passage, merged->passage_of(judgment.document));
          found.push_back(judgment.document);
        }
        EXPECT_EQ(found, expected[query]) << "in the given order; seed " << seed;
      }
      if (pairs.empty()) continue;
      EXPECT_EQ(WithMined(*merged, pairs)->digest(), merged->digest()) << "again changes nothing";
    }
  }
}

}  // namespace
}  // namespace muster
