#include "client/import_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
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
  const auto plan = PlanImport({.paths = {folder_.string()}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan), ElementsAre("corpus.jsonl.zst", "queries.jsonl", "qrels/test.tsv.gz", "qrels/train.tsv"));
  EXPECT_THAT(plan->left_out, ElementsAre("README.md", "extra.jsonl"));
  EXPECT_EQ(plan->total_bytes, 4);
}

TEST_F(PlanImportTest, SendsAllJsonlOfAnotherFolder) {
  Write("b.jsonl");
  Write("a.jsonl.gz");
  Write("notes.txt");
  EXPECT_THAT(Names(*PlanImport({.paths = {folder_.string()}})), ElementsAre("a.jsonl.gz", "b.jsonl"));
}

TEST_F(PlanImportTest, SendsDataOfEveryFormatAndNoDescriptions) {
  for (const char* name : {"corpus.jsonl", "train.csv", "data/part-0.parquet", "t.tsv.zst", "dataset_infos.json"}) Write(name);
  const auto plan = PlanImport({.paths = {folder_.string()}, .splits = {"train"}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan), ElementsAre("corpus.jsonl", "data/part-0.parquet", "t.tsv.zst", "train.csv"));
  EXPECT_THAT(plan->left_out, ElementsAre("dataset_infos.json"));
}

TEST_F(PlanImportTest, ExpandsPatterns) {
  for (const char* name : {"train-1.parquet", "train-0.parquet", "test-0.parquet"}) Write(name);
  EXPECT_THAT(Names(*PlanImport({.paths = {(folder_ / "train-*.parquet").string()}})),
              ElementsAre("train-0.parquet", "train-1.parquet"));
  EXPECT_THAT(std::string(PlanImport({.paths = {(folder_ / "dev-*").string()}}).status().message()), HasSubstr("dev-*: matches no file."));
}

TEST_F(PlanImportTest, TakesStandardInputOfUnknownSize) {
  Write("corpus.jsonl");
  const auto plan = PlanImport({.paths = {"-", (folder_ / "corpus.jsonl").string()}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan), ElementsAre("standard-input", "corpus.jsonl"));
  EXPECT_EQ(plan->total_bytes, 0u);
}

TEST_F(PlanImportTest, TakesRowsFromStandardInputWithoutASplit) {
  const auto plan = PlanImport({.paths = {"-"}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan), ElementsAre("standard-input"));
}

TEST_F(PlanImportTest, SendsTrecsJudgmentsOfABeirFolder) {
  for (const char* name : {"a/corpus.jsonl", "a/queries.jsonl", "a/qrels/train.txt", "a/qrels/README.txt.md", "b/corpus.jsonl",
                           "b/queries.jsonl", "b/qrels.test.txt", "b/notes.txt", "c/corpus.jsonl", "c/queries.jsonl",
                           "c/qrels/train.tsv", "c/qrels.train.txt"}) {
    Write(name);
  }
  EXPECT_THAT(Names(*PlanImport({.paths = {(folder_ / "a").string()}})), ElementsAre("corpus.jsonl", "queries.jsonl", "qrels/train.txt"));
  EXPECT_THAT(Names(*PlanImport({.paths = {(folder_ / "b").string()}})), ElementsAre("corpus.jsonl", "queries.jsonl", "qrels.test.txt"));
  const auto both = PlanImport({.paths = {(folder_ / "c").string()}});
  EXPECT_THAT(Names(*both), ElementsAre("corpus.jsonl", "queries.jsonl", "qrels/train.tsv")) << "and not the same twice";
  EXPECT_THAT(both->left_out, ElementsAre("qrels.train.txt"));
}

TEST_F(PlanImportTest, NamesTheDatasetsInAFolderOfBeirFolders) {
  for (const char* name : {"a/corpus.jsonl", "a/queries.jsonl", "b/corpus.jsonl.gz", "c/corpus.jsonl"}) Write(name);
  const std::string folder = folder_.string();
  EXPECT_EQ(std::string(PlanImport({.paths = {folder}}).status().message()),
            folder + ": holds 3 BEIR datasets: a, b, c. Import one of them: " + folder + "/a.");
}

TEST_F(PlanImportTest, TakesANamedFile) {
  Write("pairs.json");
  EXPECT_THAT(Names(*PlanImport({.paths = {(folder_ / "pairs.json").string()}})), ElementsAre("pairs.json"));
}

TEST_F(PlanImportTest, RefusesWhatItCannotSend) {
  EXPECT_THAT(std::string(PlanImport({.paths = {folder_.string()}}).status().message()), HasSubstr("has no *.jsonl, *.json,"));
  EXPECT_THAT(std::string(PlanImport({.paths = {(folder_ / "none").string()}}).status().message()), HasSubstr("none"));
  Write("a/x.jsonl");
  Write("b/x.jsonl");
  EXPECT_THAT(
      std::string(PlanImport({.paths = {(folder_ / "a").string(), (folder_ / "b").string()}}).status().message()),
      HasSubstr("two files named x.jsonl"));
  const std::string twice = (folder_ / "a/x.jsonl").string();
  EXPECT_EQ(std::string(PlanImport({.paths = {twice, twice}}).status().message()), twice + ": is named twice. Name each file once.");
  Write("saved/data-00000-of-00001.arrow");
  EXPECT_THAT(std::string(PlanImport({.paths = {(folder_ / "saved").string()}}).status().message()), HasSubstr("datasets.load_from_disk(FOLDER).to_parquet"));
}

TEST_F(PlanImportTest, FilesOfOneNameAreRefusedWithTheFlagsThatTellThemApart) {
  for (const char* name : {"s/train/part-0.jsonl", "s/test/part-0.jsonl", "s/more/part-0.jsonl"}) Write(name);
  const std::string s = (folder_ / "s").string();
  EXPECT_EQ(std::string(PlanImport({.paths = {s + "/train", s + "/test"}}).status().message()),
            absl::StrCat(s, "/train/part-0.jsonl and ", s, "/test/part-0.jsonl: two files named part-0.jsonl. Name the folder above them, ",
                         s, ", or name the split of each: --split train=", s, "/train --split test=", s, "/test."));
  EXPECT_TRUE(PlanImport({.splits = {"train=" + s + "/train", "test=" + s + "/test"}}).ok()) << "as proposed";
  EXPECT_THAT(std::string(PlanImport({.paths = {s + "/train/part-0.jsonl", s + "/more/part-0.jsonl"}}).status().message()),
              HasSubstr("--split train=" + s + "/train --split NAME=" + s + "/more/part-0.jsonl."));
}

// "name split" of each file.
std::vector<std::string> SplitsOf(const absl::StatusOr<ImportPlan>& plan) {
  if (!plan.ok()) return {std::string(plan.status().message())};
  std::vector<std::string> splits;
  for (const ImportSource& source : plan->sources) splits.push_back(absl::StrCat(source.name, " ", source.split));
  return splits;
}

TEST_F(PlanImportTest, GivesEachFileTheSplitThatIsNamedForIt) {
  Write("x.jsonl");
  Write("train/data.jsonl");
  Write("test/data.jsonl");
  const std::string x = (folder_ / "x.jsonl").string(), train = (folder_ / "train/data.jsonl").string(),
                    test = (folder_ / "test").string();
  EXPECT_THAT(SplitsOf(PlanImport({.splits = {"train=" + x, "test=" + test}})),
              ElementsAre("x.jsonl train", "data.jsonl test"));
  EXPECT_THAT(SplitsOf(PlanImport({.splits = {"fit=" + train, "test=" + test}})),
              ElementsAre("train/data.jsonl fit", "test/data.jsonl test"));
  EXPECT_THAT(SplitsOf(PlanImport({.paths = {x}, .splits = {"dev=" + x}})), ElementsAre("x.jsonl dev"));
  const auto all = PlanImport({.paths = {x}, .splits = {"dev"}});
  EXPECT_THAT(SplitsOf(all), ElementsAre("x.jsonl "));
  EXPECT_EQ(all->split, "dev");
}

TEST_F(PlanImportTest, RefusesSplitsThatContradictOrNameNothing) {
  Write("x.jsonl");
  const std::string x = (folder_ / "x.jsonl").string();
  EXPECT_THAT(SplitsOf(PlanImport({.splits = {"train=" + x, "test=" + x}})),
              ElementsAre(HasSubstr("--split names it for train and for test")));
  EXPECT_THAT(SplitsOf(PlanImport({.paths = {x}, .splits = {"train", "test"}})),
              ElementsAre(HasSubstr("--split train=FILE")));
  EXPECT_THAT(SplitsOf(PlanImport({.splits = {"No=" + x}})), ElementsAre(HasSubstr("is not a valid split name")));
  EXPECT_THAT(SplitsOf(PlanImport({.splits = {"test="}})), ElementsAre(HasSubstr("name the file after the =")));
  EXPECT_THAT(SplitsOf(PlanImport({.splits = {"test"}})), ElementsAre(HasSubstr("name the files")));
}

TEST_F(PlanImportTest, RefusesAGuessBeforeAnythingIsSent) {
  Write("mixed/rows.jsonl");
  Write("mixed/test.jsonl.gz");
  EXPECT_THAT(SplitsOf(PlanImport({.paths = {(folder_ / "mixed").string()}})),
              ElementsAre(HasSubstr("test.jsonl.gz is named after split test, and rows.jsonl after none.")));
  Write("named/train.jsonl");
  Write("named/deep/my-test.jsonl");
  EXPECT_TRUE(PlanImport({.paths = {(folder_ / "named").string()}}).ok());
  EXPECT_THAT(SplitsOf(PlanImport({.paths = {(folder_ / "named").string()}, .splits = {"train"}})),
              ElementsAre(HasSubstr("deep/my-test.jsonl: is named after split test, and the given split is train.")));
  // The folder that the user names, which the server does not see.
  Write("test/part-0.jsonl");
  const std::string part = (folder_ / "test/part-0.jsonl").string();
  EXPECT_THAT(SplitsOf(PlanImport({.paths = {part}})), ElementsAre(HasSubstr("--split test or --split train.")));
  EXPECT_THAT(SplitsOf(PlanImport({.paths = {(folder_ / "test").string()}})),
              ElementsAre(HasSubstr("--split test or")));
  EXPECT_TRUE(PlanImport({.paths = {part}, .splits = {"train"}}).ok());
}

TEST_F(PlanImportTest, LeavesTheSplitsOfBeirToItsQrels) {
  for (const char* name : {"test/corpus.jsonl", "test/queries.jsonl", "test/qrels/test.tsv"}) Write(name);
  EXPECT_TRUE(PlanImport({.paths = {(folder_ / "test").string()}}).ok());
  EXPECT_THAT(Names(*PlanImport(
                  {.paths = {(folder_ / "test/corpus.jsonl").string(), (folder_ / "test/qrels/test.tsv").string()}})),
              ElementsAre("corpus.jsonl", "qrels/test.tsv"));
  Write("rows/corpus.jsonl");
  Write("rows/more.jsonl");
  EXPECT_THAT(Names(*PlanImport({.paths = {(folder_ / "rows").string()}, .schema = "flagembedding"})),
              ElementsAre("corpus.jsonl", "more.jsonl"));
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
  EXPECT_THAT(std::string(ChooseModelFiles(folder_).status().message()), HasSubstr("config.json is missing, the folder has no file"));
  Write("vocab.txt");
  Write("config.json", "{}");
  EXPECT_THAT(std::string(ChooseModelFiles(folder_).status().message()), HasSubstr("model.safetensors is missing"));
  EXPECT_THAT(std::string(ChooseModelFiles(folder_ / "none").status().message()), HasSubstr("none"));
}

}  // namespace
}  // namespace muster
