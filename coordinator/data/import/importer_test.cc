#include "coordinator/data/import/importer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/import/schema.h"

namespace muster {
namespace {

using muster::v1::ImportHeader;
using muster::v1::ImportReport;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

struct File {
  std::string path, content;
  std::string split = "";
};

const std::string kCorpus =
    R"({"_id": "d1", "title": "T", "text": "one"})" "\n"
    R"({"_id": "d2", "text": "two"})" "\n"
    R"({"_id": 3, "title": null, "text": "two ", "metadata": {}})" "\n";
const std::string kQueries = R"({"_id": "q1", "text": "a"})" "\r\n" R"({"_id": "q2", "text": "a"})" "\r\n";
const std::string kTrain = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\t3\t1\n";

std::vector<File> BeirFiles() {
  return {{"corpus.jsonl", kCorpus}, {"queries.jsonl", kQueries}, {"qrels/train.tsv", kTrain}};
}

// The scores of a query in the first split, such as "2.5 - 0", where - means no score; "" if the split has no scores.
std::string ScoresOf(const Dataset& dataset, uint32_t query) {
  std::string text;
  for (const float score : dataset.scores(0, query)) {
    absl::StrAppend(&text, text.empty() ? "" : " ", HasScore(score) ? absl::StrCat(score) : "-");
  }
  return text;
}

class ImporterTest : public testing::Test {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "import").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Feeds each file in pieces of `piece` bytes.
  absl::StatusOr<ImportReport> Import(const std::vector<File>& files, ImportHeader header = {}, size_t piece = 7) {
    if (header.name().empty()) header.set_name("set");
    absl::StatusOr<std::unique_ptr<Importer>> importer = Importer::Create(header, folder_);
    if (!importer.ok()) return importer.status();
    for (const File& file : files) {
      if (const absl::Status status = (*importer)->BeginFile(file.path, file.split); !status.ok()) return status;
      for (size_t at = 0; at < file.content.size(); at += piece) {
        const absl::Status status = (*importer)->Chunk(std::string_view(file.content).substr(at, piece));
        if (!status.ok()) return status;
      }
    }
    return (*importer)->Finish();
  }
  std::string ErrorOf(const std::vector<File>& files, const ImportHeader& header = {}) {
    return std::string(Import(files, header).status().message());
  }
  // The error of a BEIR folder in which one file is replaced or added.
  std::string BeirErrorWith(const std::string& path, const std::string& content) {
    std::vector<File> files = {{path, content}};
    for (const File& file : BeirFiles()) {
      if (file.path != path) files.push_back(file);
    }
    return ErrorOf(files);
  }
  std::string RowError(const std::string& row) { return ErrorOf({{"t.jsonl", absl::StrCat(kRow, row, "\n")}}); }

  const std::string kRow = R"({"query": "a", "pos": ["p"]})" "\n";
  std::filesystem::path folder_;
};

TEST_F(ImporterTest, ReadsABeirFolder) {
  const ImportReport report = Import(BeirFiles()).value();
  EXPECT_EQ(report.schema(), "beir");
  EXPECT_EQ(report.dataset().name(), "set");
  EXPECT_EQ(report.dataset().queries(), 2u);
  EXPECT_EQ(report.dataset().passages(), 3u);
  EXPECT_EQ(report.dataset().unique_passages(), 2u);
  EXPECT_THAT(report.dataset().sources(), ElementsAre("human"));
  EXPECT_THAT(report.positives_per_query(), UnorderedElementsAre(Pair(1, 2)));
  EXPECT_DOUBLE_EQ(report.duplicate_share(), 2.0 / 3);
  const auto dataset = Dataset::Open(folder_).value();
  EXPECT_EQ(dataset->document_id(2), "3");
  EXPECT_EQ(dataset->query_text(1), "a");  // not merged by text: the queries have ids
  ASSERT_EQ(dataset->judgments(0, 0).size(), 2u);
  EXPECT_EQ(dataset->judgments(0, 0)[0].grade, 2.0f);
  EXPECT_EQ(dataset->judgments(0, 0)[1].grade, 0.0f);
  EXPECT_EQ(dataset->judgments(0, 0)[1].hard_negative, 0);
}

TEST_F(ImporterTest, GivesTheSameDatasetForAnyOrderOfFilesAndAnyPieces) {
  std::vector<File> files = BeirFiles();
  files.push_back({"qrels/dev.tsv", "q2\td1\t1"});  // neither header nor end of line
  const std::string digest = Import(files)->dataset().digest();
  std::reverse(files.begin(), files.end());
  EXPECT_EQ(Import(files, {}, 1)->dataset().digest(), digest);
  EXPECT_EQ(Import(files, {}, 1 << 20)->dataset().digest(), digest);
  EXPECT_THAT(Dataset::Open(folder_).value()->splits(), ElementsAre("dev", "train"));
}

TEST_F(ImporterTest, LeavesOutOtherFilesWithANote) {
  std::vector<File> files = BeirFiles();
  files.insert(files.begin(), {"README.md", "# text"});
  EXPECT_THAT(Import(files)->notes(), ElementsAre("README.md: left out, no file of the schema"));
}

TEST_F(ImporterTest, NamesABadCorpusOrQueryLine) {
  const std::string remedy = " Fix the line, or import with --skip-bad 10.";
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", kCorpus + R"({"_id": "d4", "text": "x)"),
            "corpus.jsonl:4: expected a JSON object, the record ends early." + remedy);
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", R"({"_id": "d4", text: 1})"),
            "corpus.jsonl:1: expected a JSON object, the text is not JSON from byte 16." + remedy);
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", "1"), "corpus.jsonl:1: expected a JSON object, found a number." + remedy);
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", "{\"_id\": \"d4\", \"text\": \"\xff\"}"),
            "corpus.jsonl:1: expected UTF-8, byte 24 of the line (0xFF) is not. If the file is in Latin-1 or Windows-1252, "
            "convert it: iconv -f WINDOWS-1252 -t UTF-8." + remedy);
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", R"({"text": "x"})"),
            "corpus.jsonl:1: \"_id\" must be an id (a string or an integer), found nothing." + remedy);
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", R"({"_id": "", "text": "x"})"),
            "corpus.jsonl:1: \"_id\" must be an id (a string or an integer), found an empty string." + remedy);
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", R"({"_id": "d", "text": ["x"]})"),
            "corpus.jsonl:1: \"text\" must be a string, found a list." + remedy);
  EXPECT_EQ(BeirErrorWith("corpus.jsonl", R"({"_id": "d", "text": "x", "title": 1.5})"),
            "corpus.jsonl:1: \"title\" must be a string, found a number." + remedy);
  EXPECT_EQ(BeirErrorWith("queries.jsonl", kQueries + R"({"_id": "q1", "text": "x"})"),
            "queries.jsonl:3: expected the text that query \"q1\" has in an earlier record, found another: each id means one text." + remedy);
}

TEST_F(ImporterTest, NamesABadQrelsLine) {
  const std::string place = "qrels/train.tsv:5: ", remedy = " Fix the line, or import with --skip-bad 10.";
  const auto error_of = [&](const std::string& line) { return BeirErrorWith("qrels/train.tsv", kTrain + line); };
  EXPECT_EQ(error_of("q1\td1\n"),
            place + "expected 3 tab-separated fields (query-id, corpus-id, score), or TREC's 4 (query 0 document grade), "
                    "found 2." + remedy);
  EXPECT_EQ(error_of("three words here\n"),
            place + "expected 3 tab-separated fields (query-id, corpus-id, score), or TREC's 4 (query 0 document grade), "
                    "found 1." + remedy);
  EXPECT_EQ(error_of("q1\t3\tgood"), place + "expected a number as score, found \"good\"." + remedy);
  EXPECT_EQ(error_of("q1\t3\tnan"), place + "expected a finite score, found nan." + remedy);
  EXPECT_EQ(error_of("\td1\t1"), place + "expected the id of a query, found nothing." + remedy);
  EXPECT_EQ(error_of("q1\td1\t2"), "");  // a repeated judgment
}

TEST_F(ImporterTest, ToleratesAsManyBadRecordsAsTheHeaderSays) {
  std::vector<File> files = BeirFiles();
  files[2].content += "bad\nworse\tstill\n";
  ImportHeader header;
  header.set_skip_bad(2);
  const ImportReport report = Import(files, header).value();
  EXPECT_EQ(report.bad_records(), 2u);
  EXPECT_THAT(report.bad_record_messages(),
              ElementsAre(HasSubstr("qrels/train.tsv:5: expected 3 tab-separated fields"),
                          HasSubstr("qrels/train.tsv:6: expected 3 tab-separated fields")));
  files[2].content += "bad\n";
  EXPECT_THAT(ErrorOf(files, header), HasSubstr("Fix the line, or import with --skip-bad 20."));
}

TEST_F(ImporterTest, RefusesAnIncompleteOrEmptyFolder) {
  EXPECT_EQ(ErrorOf({{"queries.jsonl", kQueries}}),
            "corpus.jsonl: there is no such file, or it is empty. A BEIR folder has corpus.jsonl, queries.jsonl and "
            "qrels/SPLIT.tsv.");
  EXPECT_EQ(BeirErrorWith("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t0\n"),
            "the dataset is empty: no query of 2 has a positive in any split. Check the judgments.");
}

TEST_F(ImporterTest, SaysWhatFilesOfNoSchemaLookLikeAndWhatToDo) {
  const std::string rest = absl::StrCat(
      " Known: ", KnownSchemas(), ". Write one JSON object per line to a file named *.jsonl, such as {\"query\": \"…\", "
      "\"pos\": [\"…\"], \"neg\": [\"…\"]}; a file of another name needs --schema flagembedding.");
  EXPECT_EQ(ErrorOf({{"pairs.csv", "a,b\n"}}),
            "no file has a known schema: pairs.csv looks like CSV with the columns a, b." + rest);
  EXPECT_EQ(ErrorOf({{"train.jsonl", ""}, {"a.txt", "x"}}),
            "no file has a known schema: train.jsonl is empty; a.txt looks like text that begins \"x\"." + rest);
  EXPECT_EQ(ErrorOf({{"a.md", ""}, {"b.md", ""}, {"c.md", ""}, {"d.md", ""}}),
            "no file has a known schema: a.md is empty; b.md is empty; c.md is empty; …." + rest);
  EXPECT_EQ(ErrorOf({}), "no file has a known schema: no file came." + rest);
  // A file that is left out is not checked: this one is a gzip stream that ends early.
  EXPECT_TRUE(Import({{"t.jsonl", kRow}, {"cut.bin.gz", "\x1f\x8b\x08"}}).ok());
}

TEST_F(ImporterTest, ANamedSchemaCountsWhateverTheFilesAreCalled) {
  ImportHeader header;
  EXPECT_THAT(ErrorOf({{"fe.txt", kRow}}), HasSubstr("fe.txt looks like JSON objects"));
  header.set_schema("flagembedding");
  EXPECT_EQ(Import({{"fe.txt", kRow}}, header)->dataset().queries(), 1u);
  EXPECT_EQ(Import({{"corpus.jsonl", kRow}}, header)->dataset().queries(), 1u) << "and not BEIR";
  header.set_schema("flagembeding");
  EXPECT_EQ(ErrorOf({{"fe.txt", kRow}}, header),
            absl::StrCat("schema: unknown value \"flagembeding\". Allowed: ", KnownSchemas(),
                         ". Did you mean \"flagembedding\"?"));
}

std::vector<std::string> SplitsOf(const ImportReport& report) {
  std::vector<std::string> splits;
  for (const auto& split : report.dataset().splits()) {
    splits.push_back(absl::StrCat(split.name(), ": ", split.queries()));
  }
  return splits;
}

TEST_F(ImporterTest, FilesNamedAfterASplitBecomeThatSplitAndTheReportSaysSo) {
  const std::string other = R"({"query": "b", "pos": ["p"]})"
                            "\n";
  const ImportReport report = Import({{"test.jsonl", kRow + other}, {"sub/my-train.jsonl", kRow}}).value();
  EXPECT_THAT(SplitsOf(report), ElementsAre("test: 2", "train: 1"));
  EXPECT_THAT(report.notes(),
              ElementsAre("test.jsonl → split test (2 queries)", "sub/my-train.jsonl → split train (1 query)"));
  std::vector<File> shards;
  for (int i = 0; i < 5; ++i) shards.push_back({absl::StrCat("train-", i, ".jsonl"), kRow});
  EXPECT_THAT(Import(shards)->notes(),
              ElementsAre("train-0.jsonl, train-1.jsonl, train-2.jsonl, … (5 files) → split train (5 queries)"));
}

TEST_F(ImporterTest, CountsTheQueriesOfJudgmentsByIdInTheNoteOfTheirFile) {
  const ImportReport report = Import({{"documents.jsonl", "{\"docid\": \"d\", \"text\": \"t\"}\n"},
                                      {"queries.jsonl", "{\"query_id\": \"q\", \"text\": \"a\"}\n"},
                                      {"train.jsonl", "{\"query_id\": \"q\", \"document_id\": \"d\", \"label\": 1}\n"}})
                                  .value();
  EXPECT_THAT(report.notes(), testing::Contains("train.jsonl → split train (1 query)"));
}

TEST_F(ImporterTest, ALineOfBlanksIsEmpty) {
  EXPECT_EQ(Import({{"rows.jsonl", absl::StrCat("  \n", kRow, " \t\r\n")}})->dataset().queries(), 1u);
}

TEST_F(ImporterTest, RefusesFilesWhoseSplitWouldBeAGuess) {
  EXPECT_THAT(ErrorOf({{"test.jsonl", kRow}, {"rows.jsonl", kRow}}),
              HasSubstr("test.jsonl is named after split test, and rows.jsonl after none."));
  EXPECT_THAT(ErrorOf({{"train-test.jsonl", kRow}}), HasSubstr("names the splits train and test"));
  ImportHeader header;
  header.set_split("train");
  EXPECT_THAT(ErrorOf({{"test.jsonl", kRow}}, header),
              HasSubstr("is named after split test, and the given split is train"));
}

TEST_F(ImporterTest, FilesOfGivenSplitsShareOneCorpus) {
  const std::string other = R"({"query": "b", "pos": ["r"]})"
                            "\n";
  const ImportReport report = Import({{"x.jsonl", kRow, "train"}, {"y.jsonl", other, "test"}}).value();
  EXPECT_THAT(SplitsOf(report), ElementsAre("test: 1", "train: 1"));
  EXPECT_EQ(report.dataset().passages(), 2u) << "the queries of both search them all";
  EXPECT_THAT(report.notes(), ElementsAre());
  EXPECT_EQ(SplitsOf(Import({{"test.jsonl", kRow, "train"}}).value()), std::vector<std::string>{"train: 1"});
  EXPECT_THAT(ErrorOf({{"x.jsonl", kRow, "No Split"}}), HasSubstr("\"No Split\" is not a valid split name"));
  EXPECT_THAT(ErrorOf({{"x.csv", "a,b", "test"}}), HasSubstr("x.csv: a split is given for it, and it is not a file of"));
}

TEST_F(ImporterTest, RefusesASplitThatBeirFilesContradict) {
  std::vector<File> files = BeirFiles();
  ImportHeader header;
  header.set_split("train");
  EXPECT_TRUE(Import(files, header).ok());
  header.set_split("dev");
  EXPECT_THAT(ErrorOf(files, header),
              HasSubstr("qrels/train.tsv: is split train by its name, and the given split is dev."));
  files[2].split = "test";
  EXPECT_THAT(ErrorOf(files), HasSubstr("the given split is test"));
  files[2].split = "";
  files[0].split = "test";
  EXPECT_THAT(ErrorOf(files), HasSubstr("corpus.jsonl: holds no judgments, so it has no split."));
}

TEST_F(ImporterTest, RefusesAFirstRecordOfNoSchema) {
  EXPECT_EQ(ErrorOf({{"t.jsonl", R"({"q": 1, "a": 2})"}}),
            absl::StrCat("t.jsonl:1: the schema was not recognized, the first record has the keys q, a. Known: ",
                         KnownSchemas(), ". Name it with --schema, or name its columns with --columns."));
  EXPECT_EQ(
      ErrorOf({{"t.jsonl", "query,pos\n"}}),
      "t.jsonl:1: expected a JSON object, the text is not JSON from byte 1. The file looks like CSV with the columns "
      "query, pos; its lines must be such as {\"query\": \"…\", \"pos\": [\"…\"], \"neg\": [\"…\"]}.");
  EXPECT_EQ(ErrorOf({{"t.json", "{\n\"query\": 1"}}),
            "t.json:1: the JSON object that begins here has no end. Is the file complete?");
}

TEST_F(ImporterTest, ReadsAJsonArrayAsItsObjects) {
  const std::string pretty =
      "[\n  {\n    \"query\": \"a\",\n    \"pos\": [\"p\"]\n  },\n"
      "  {\"query\": \"b ] , \\\" {\", \"pos\": [\"p\"]}\n]\n";
  for (const size_t piece : {1, 7, 1 << 20}) {
    const auto report = Import({{"t.json", pretty}}, {}, piece);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->dataset().queries(), 2u);
    EXPECT_EQ(Dataset::Open(folder_).value()->query_text(1), "b ] , \" {");
  }
  EXPECT_THAT(ErrorOf({{"t.json", "[" + kRow + ",\n{\"query\": 1}]"}}),
              HasSubstr("t.json:3: \"query\" must be a string"));
  EXPECT_THAT(ErrorOf({{"t.json", "[" + kRow}}), HasSubstr("the JSON array has no end"));
}

TEST_F(ImporterTest, RefusesWrongHeadersAndPaths) {
  ImportHeader header;
  header.set_name("No Name");
  EXPECT_THAT(ErrorOf({}, header), HasSubstr("name: \"No Name\" is not a valid dataset name"));
  header.set_name("x");
  header.set_schema("trek");
  EXPECT_THAT(ErrorOf({}, header), HasSubstr("schema: unknown value \"trek\". Allowed: beir"));
  EXPECT_THAT(ErrorOf({{"../corpus.jsonl", ""}}), HasSubstr("a file's path must be relative"));
  EXPECT_EQ(ErrorOf({{"corpus.jsonl", ""}, {"corpus.jsonl.gz", ""}}),
            "corpus.jsonl.gz: the file was sent twice. Name each file once.");
}

TEST_F(ImporterTest, GroupsRowsOfOneQueryText) {
  ImportHeader header;
  header.set_source("llm");
  header.set_split("fit");
  const ImportReport report =
      Import({{"t.jsonl", R"({"query": "a b", "pos": ["p1"], "neg": ["n1", "p2"], "pos_scores": [2.5], "neg_scores": [0, 1], "prompt": "x"})"
                          "\n"
                          R"({"query": "a  b ", "pos": ["p2", "p1"], "pos_scores": [1, 3], "neg": null, "source": "human"})"
                          "\n"
                          R"({"query": "c", "pos": ["p3"], "neg": ["p1"]})"}},
             header)
          .value();
  EXPECT_EQ(report.schema(), "flagembedding");
  EXPECT_EQ(report.dataset().queries(), 2u);
  EXPECT_EQ(report.dataset().unique_passages(), 4u);
  EXPECT_EQ(report.dataset().splits(0).name(), "fit");
  // "p2" of query 0 contradicts its positive; "p1" of query 1 is a positive of query 0; "n1" is neither.
  EXPECT_DOUBLE_EQ(report.false_negative_share(), 2.0 / 3);
  EXPECT_THAT(report.notes(), ElementsAre("prompt: left out (1 row); a job names its own in model.prompts",
                                          "pos_scores, neg_scores: a teacher's, which loss.distill uses (1 row)",
                                          HasSubstr("of 3 hard negatives, 1 are a positive of their own query")));
  const auto dataset = Dataset::Open(folder_).value();
  EXPECT_THAT(dataset->sources(), ElementsAre("llm", "human"));
  const auto edges = dataset->judgments(0, 0);
  ASSERT_EQ(edges.size(), 4u);  // p1 by llm, p2 by human, p1 by human, and after the grades n1
  EXPECT_EQ(edges[0].grade, 2.5f);
  EXPECT_EQ(dataset->body(edges[1].passage), "p2");
  EXPECT_EQ(edges[2].source, 1);
  EXPECT_EQ(edges[2].grade, 3.0f);
  EXPECT_EQ(dataset->body(edges[3].passage), "n1");
  EXPECT_EQ(edges[3].hard_negative, kHardNegative);
  EXPECT_EQ(ScoresOf(*dataset, 0), "2.5 - - 0") << "the second row has no neg_scores: its scores are grades alone";
}

TEST_F(ImporterTest, ScoresOfPositivesAndNegativesAreATeachers) {
  ASSERT_TRUE(Import({{"t.jsonl", R"({"query": "a", "pos": ["p", "r"], "neg": ["n"], "pos_scores": [2, -1.5], "neg_scores": [-3]})"
                                  "\n"
                                  R"({"query": "b", "pos": ["p"], "neg": ["n"], "neg_scores": [1]})"}})
                  .ok());
  const auto flag = Dataset::Open(folder_).value();
  EXPECT_EQ(ScoresOf(*flag, 0), "2 -1.5 -3");
  EXPECT_EQ(flag->judgments(0, 0)[0].grade, 1.0f) << "not all are above 0";
  EXPECT_EQ(ScoresOf(*flag, 1), "- -");
  ASSERT_TRUE(Import({{"t.jsonl", R"({"query_id": "x", "query": "a", "positive_passages": [{"docid": "1", "text": "p", "score": 4}],)"
                                  R"( "negative_passages": [{"docid": "2", "text": "n", "score": 0.5}, {"docid": "3", "text": "m"}]})"
                                  "\n"
                                  R"({"query_id": "y", "query": "b", "positive_passages": [{"docid": "1", "text": "p", "score": 4}]})"}})
                  .ok());
  const auto tevatron = Dataset::Open(folder_).value();
  EXPECT_EQ(ScoresOf(*tevatron, 0), "4 0.5 -");
  EXPECT_EQ(ScoresOf(*tevatron, 1), "-") << "a grade alone";
}

TEST_F(ImporterTest, ScoredListsKeepTheirScores) {
  const ImportReport texts =
      Import({{"t.jsonl", R"({"query": "a", "documents": ["p", "n", "o"], "scores": [7, -2.5, 8]})"}}).value();
  EXPECT_THAT(texts.notes(), ElementsAre("scores: a teacher's, which loss.distill uses (1 row); the first document is the "
                                         "positive, and those that score as high or higher are neither positive nor negative"));
  EXPECT_EQ(ScoresOf(*Dataset::Open(folder_).value(), 0), "7 -2.5 8");
  ASSERT_TRUE(Import({{"documents.jsonl", R"({"document_id": "d1", "text": "p"})" "\n" R"({"document_id": "d2", "text": "n"})"},
                      {"queries.jsonl", R"({"query_id": "x", "text": "a"})"},
                      {"train.jsonl", R"({"query_id": "x", "document_ids": ["d1", "d2"], "scores": [0.25, -4]})"}})
                  .ok());
  EXPECT_EQ(ScoresOf(*Dataset::Open(folder_).value(), 0), "0.25 -4") << "by ids, which wait for their texts";
}

TEST_F(ImporterTest, ScoresThatAreNotGradesAreLeftOut) {
  const ImportReport report = Import({{"t.jsonl", R"({"query": "a", "pos": ["p", "r"], "pos_scores": [2, -1.5]})"}}).value();
  EXPECT_THAT(report.notes(), ElementsAre("pos_scores: not used as grades, since 1 row holds scores that are not above 0; every "
                                          "positive has grade 1"));
  EXPECT_EQ(Dataset::Open(folder_).value()->judgments(0, 0)[0].grade, 1.0f);
}

TEST_F(ImporterTest, NamesABadRow) {
  const std::string place = "t.jsonl:2: ", remedy = " Fix the line, or import with --skip-bad 10.";
  EXPECT_EQ(RowError(R"({"pos": ["p"]})"), place + "\"query\" must be a string, found nothing." + remedy);
  EXPECT_EQ(RowError(R"({"query": "a", "pos": 3})"), place + "\"pos\" must be a list of strings, found a number." + remedy);
  EXPECT_EQ(RowError(R"({"query": "a", "pos": ["p", 3]})"),
            place + "\"pos\" must be a list of strings, found a number in it." + remedy);
  EXPECT_EQ(RowError(R"({"query": "a", "pos": ["p"], "neg": "n"})"),
            place + "\"neg\" must be a list of strings, found a string." + remedy);
  EXPECT_EQ(RowError(R"({"query": "a", "pos": ["p"], "pos_scores": ["x"]})"),
            place + "\"pos_scores\" must be a list of numbers, found a string in it." + remedy);
  EXPECT_EQ(RowError(R"({"query": "a", "pos": ["p"], "pos_scores": [1, 2]})"),
            place + "\"pos_scores\" must have as many entries as \"pos\", found 2 and 1." + remedy);
  EXPECT_EQ(RowError(R"({"query": "a", "pos": ["p"])"), place + "expected a JSON object, the record ends early." + remedy);
}

}  // namespace
}  // namespace muster
