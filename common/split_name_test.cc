#include "common/split_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string Named(const char* path) {
  const auto split = SplitNamedBy(path);
  return split.ok() ? *split : "refused";
}

TEST(SplitNamedBy, TakesASeparateWord) {
  for (const auto& [path, split] :
       std::initializer_list<std::pair<const char*, const char*>>{{"train.jsonl", "train"},
                                                                  {"TEST.jsonl", "test"},
                                                                  {"mydata-test.jsonl.gz", "test"},
                                                                  {"dev.jsonl.zst", "dev"},
                                                                  {"val.jsonl", "val"},
                                                                  {"validation.json", "validation"},
                                                                  {"valid_0.jsonl", "valid"},
                                                                  {"eval.jsonl", "eval"},
                                                                  {"test2023.jsonl", "test"},
                                                                  {"train-00000-of-00004.jsonl", "train"},
                                                                  {"myTest.jsonl", "test"},
                                                                  {"training/part-0.jsonl", "train"},
                                                                  {"data/test/deep/part-0.jsonl", "test"},
                                                                  {"test/my-test.jsonl", "test"},
                                                                  {"pairs.jsonl", ""},
                                                                  {"latest.jsonl", ""},
                                                                  {"contest/trained.jsonl", ""},
                                                                  {"devices.jsonl", ""},
                                                                  {"evaluate-me.jsonl", ""}}) {
    EXPECT_EQ(Named(path), split) << path;
  }
}

TEST(SplitNamedBy, RefusesTwoSplits) {
  EXPECT_EQ(SplitNamedBy("train-test.jsonl").status().message(),
            "train-test.jsonl: names the splits train and test. Name the split of each file: --split train=FILE or "
            "--split test=FILE.");
  EXPECT_EQ(Named("eval/train.jsonl"), "refused");
}

TEST(SplitAssignment, GivesTrainToFilesThatNameNothing) {
  SplitAssignment splits("");
  for (const char* path : {"a.jsonl", "b.jsonl"}) {
    EXPECT_EQ(splits.Add(path, "")->split, "train");
    EXPECT_FALSE(splits.Add(path, "")->by_name);
  }
}

TEST(SplitAssignment, GivesTheNamedSplitToFilesThatNameOne) {
  SplitAssignment splits("");
  EXPECT_EQ(splits.Add("train.jsonl", "")->split, "train");
  EXPECT_EQ(splits.Add("test.jsonl", "")->split, "test");
  EXPECT_TRUE(splits.Add("test.jsonl", "")->by_name);
}

TEST(SplitAssignment, RefusesAFileWithoutASplitTogetherWithOneThatNamesIt) {
  for (const bool named_first : {true, false}) {
    SplitAssignment splits("");
    EXPECT_TRUE(splits.Add(named_first ? "test.jsonl" : "rows.jsonl", "").ok());
    EXPECT_EQ(splits.Add(named_first ? "rows.jsonl" : "test.jsonl", "").status().message(),
              "test.jsonl is named after split test, and rows.jsonl after none. Name the split of each file: --split "
              "test=test.jsonl --split NAME=rows.jsonl.");
  }
}

TEST(SplitAssignment, RefusesAGivenSplitThatTheNameContradicts) {
  SplitAssignment train("train"), fit("fit"), dev("dev");
  EXPECT_THAT(std::string(train.Add("my-test.jsonl", "").status().message()),
              AllOf(HasSubstr("my-test.jsonl: is named after split test, and the given split is train."),
                    HasSubstr("--split test=FILE")));
  EXPECT_FALSE(fit.Add("train.jsonl", "").ok());
  EXPECT_EQ(fit.Add("rows.jsonl", "")->split, "fit");
  EXPECT_EQ(dev.Add("validation.jsonl", "")->split, "dev") << "two words for one thing";
  EXPECT_FALSE(dev.Add("train-test.jsonl", "").ok());
}

TEST(SplitAssignment, FollowsASplitOfTheFilesOwnWhateverItsName) {
  SplitAssignment splits("");
  EXPECT_EQ(splits.Add("test.jsonl", "train")->split, "train");
  EXPECT_EQ(splits.Add("train-test.jsonl", "dev")->split, "dev");
  EXPECT_EQ(splits.Add("rows.jsonl", "")->split, "train") << "the others are not ambiguous for it";
}

}  // namespace
}  // namespace muster
