#include "client/import_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/model_files.h"
#include "common/files.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = *MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-client"); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& name, const std::string& bytes = "x") {
    ASSERT_TRUE(MakeFolders((folder_ / name).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, bytes).ok());
  }
  static std::vector<std::string> Names(const ImportPlan& plan) {
    std::vector<std::string> names;
    for (const ImportSource& source : plan.sources) names.push_back(source.name);
    return names;
  }
  std::filesystem::path folder_;
};

using PlanImportTest = FolderTest;
using ChooseModelFilesTest = FolderTest;

TEST_F(PlanImportTest, SendsTheFilesOfBeirInOrder) {
  for (const char* name : {"qrels/train.tsv", "qrels/test.tsv.gz", "queries.jsonl", "corpus.jsonl.zst", "README.md",
                           ".git/x.jsonl", "extra.jsonl"}) {
    Write(name);
  }
  const auto plan = PlanImport({folder_.string()});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan), ElementsAre("corpus.jsonl.zst", "queries.jsonl", "qrels/test.tsv.gz", "qrels/train.tsv"));
  EXPECT_THAT(plan->left_out, ElementsAre("README.md", "extra.jsonl"));
  EXPECT_EQ(plan->total_bytes, 4);
}

TEST_F(PlanImportTest, SendsAllJsonlOfAnotherFolder) {
  Write("b.jsonl");
  Write("a.jsonl.gz");
  Write("notes.txt");
  EXPECT_THAT(Names(*PlanImport({folder_.string()})), ElementsAre("a.jsonl.gz", "b.jsonl"));
}

TEST_F(PlanImportTest, TakesFilesAsTheyAre) {
  Write("pairs.json");
  EXPECT_THAT(Names(*PlanImport({(folder_ / "pairs.json").string()})), ElementsAre("pairs.json"));
}

TEST_F(PlanImportTest, RefusesWhatItCannotSend) {
  EXPECT_THAT(std::string(PlanImport({folder_.string()}).status().message()), HasSubstr("corpus.jsonl"));
  EXPECT_THAT(std::string(PlanImport({(folder_ / "none").string()}).status().message()), HasSubstr("none"));
  Write("a/x.jsonl");
  Write("b/x.jsonl");
  EXPECT_THAT(std::string(PlanImport({(folder_ / "a").string(), (folder_ / "b").string()}).status().message()),
              HasSubstr("a second file named x.jsonl"));
}

TEST_F(ChooseModelFilesTest, TakesAVocabularyAlone) {
  Write("vocab.txt", "[PAD]\n");
  Write("notes.bin");
  const auto files = ChooseModelFiles(folder_);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(files->chosen, ElementsAre("vocab.txt"));
  EXPECT_THAT(files->left_out, ElementsAre("notes.bin"));
}

TEST_F(ChooseModelFilesTest, NamesMissingParts) {
  EXPECT_THAT(std::string(ChooseModelFiles(folder_).status().message()), HasSubstr("no vocab.txt"));
  Write("vocab.txt");
  Write("config.json", "{}");
  EXPECT_THAT(std::string(ChooseModelFiles(folder_).status().message()), HasSubstr("no model.safetensors"));
  EXPECT_THAT(std::string(ChooseModelFiles(folder_ / "none").status().message()), HasSubstr("none"));
}

}  // namespace
}  // namespace muster
