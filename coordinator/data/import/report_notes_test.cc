// Queries that are documents, in small files and in files from the field if they are available.
#include "coordinator/data/import/report_notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "coordinator/data/import/importer.h"
#include "test_paths.h"

namespace muster {
namespace {

using muster::v1::ImportReport;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Files = std::vector<std::pair<std::string, std::string>>;  // path, content

ImportReport Import(const Files& files) {
  const auto folder = MakeScratchFolder(testing::TempDir(), "notes").value();
  muster::v1::ImportHeader header;
  header.set_name("set");
  const auto importer = Importer::Create(header, folder).value();
  for (const auto& [path, content] : files) {
    EXPECT_TRUE(importer->BeginFile(path).ok() && importer->Chunk(content).ok()) << path;
  }
  ImportReport report = importer->Finish().value();
  const auto dataset = Dataset::Open(folder).value();
  AddNotesOnSharedQueries(*dataset, report);
  AddIdenticalIds(*dataset, report);
  std::filesystem::remove_all(folder);
  return report;
}

// `ids`: the ids of two documents. Each query asks for the other document.
Files Beir(const std::string& first_query, const std::string& text) {
  return {{"corpus.jsonl", R"({"_id": "t0", "text": "fish swim"})"
                           "\n"
                           R"({"_id": "t1", "text": "fish do not swim"})"
                           "\n"},
          {"queries.jsonl", R"({"_id": ")" + first_query + R"(", "text": ")" + text + "\"}\n"},
          {"qrels/test.tsv", first_query + "\tt1\t1\n"}};
}

TEST(AddIdenticalIds, CountsQueriesThatAreDocumentsAndNamesTheOption) {
  const ImportReport report = Import(Beir("t0", "fish  swim"));
  EXPECT_EQ(report.queries_with_document_id(), 1u);
  EXPECT_EQ(report.queries_that_are_documents(), 1u);
  EXPECT_THAT(report.notes(), ElementsAre(HasSubstr("evaluate.ignore_identical_ids")));
}

TEST(AddIdenticalIds, TellsIdsThatOnlyLookAlike) {
  const ImportReport report = Import(Beir("t0", "say that fish swim"));
  EXPECT_EQ(report.queries_with_document_id(), 1u);
  EXPECT_EQ(report.queries_that_are_documents(), 0u);
  EXPECT_THAT(report.notes(), ElementsAre(HasSubstr("only look alike")));
}

TEST(AddIdenticalIds, IsSilentWithoutAny) {
  const ImportReport report = Import(Beir("q0", "fish swim"));
  EXPECT_EQ(report.queries_with_document_id(), 0u);
  EXPECT_THAT(report.notes(), IsEmpty());
}

TEST(AddIdenticalIds, AgreesWithTheInputsFromTheField) {
  const std::filesystem::path root =
      std::filesystem::path(MUSTER_SOURCE_DIR) / "../shared/cases/28-query-is-a-document";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "left out: " << root << " does not exist";
  for (const auto& [name, same_texts] : {std::pair("opposites", 6u), std::pair("row-numbers", 0u)}) {
    Files files;
    for (const char* path : {"corpus.jsonl", "queries.jsonl", "qrels/test.tsv"}) {
      files.emplace_back(path, ReadFile(root / name / path).value());
    }
    const ImportReport report = Import(files);
    EXPECT_EQ(report.queries_with_document_id(), 6u) << name;
    EXPECT_EQ(report.queries_that_are_documents(), same_texts) << name;
  }
}

TEST(AddNotesOnSharedQueries, NamesSplitsThatShareQueries) {
  const std::string rows = R"({"query": "a", "pos": ["p"]})"
                           "\n";
  EXPECT_THAT(Import({{"train.jsonl", rows + R"({"query": "b", "pos": ["p"]})"}, {"test.jsonl", rows}}).notes(),
              Contains("1 query is in the splits test and train"));
  EXPECT_THAT(Import({{"rows.jsonl", rows}}).notes(), IsEmpty());
}

TEST(AddNoteOnHardNegatives, SaysOfWhichQueryTheyAreAPositive) {
  const ImportReport report = Import({{"t.jsonl", R"({"query": "a", "pos": ["p"], "neg": ["p", "r", "n"]})"
                                                  "\n"
                                                  R"({"query": "b", "pos": ["r"]})"
                                                  "\n"}});
  EXPECT_THAT(report.notes(),
              ElementsAre(testing::AllOf(HasSubstr("of 3 hard negatives, 1 are a positive of their own query"),
                                         HasSubstr("1 are a positive of another query"))));
  EXPECT_DOUBLE_EQ(report.false_negative_share(), 2.0 / 3);
}

}  // namespace
}  // namespace muster
