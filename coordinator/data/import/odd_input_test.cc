// Odd inputs from the field: each oddity has a documented rule, a count and a note, or an error that names it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/import/importer.h"
#include "test_paths.h"

namespace muster {
namespace {

using muster::v1::ImportHeader;
using muster::v1::ImportReport;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using Files = std::vector<std::pair<std::string, std::string>>;  // path, content

class OddInput : public testing::Test {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "odd").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<ImportReport> Import(const Files& files, ImportHeader header = {}) {
    header.set_name("set");
    absl::StatusOr<std::unique_ptr<Importer>> importer = Importer::Create(header, folder_);
    if (!importer.ok()) return importer.status();
    for (const auto& [path, content] : files) {
      if (const absl::Status status = (*importer)->BeginFile(path); !status.ok()) return status;
      if (const absl::Status status = (*importer)->Chunk(content); !status.ok()) return status;
    }
    return (*importer)->Finish();
  }
  std::string ErrorOf(const Files& files, const ImportHeader& header = {}) {
    return std::string(Import(files, header).status().message());
  }
  static Files Beir(const std::string& qrels) {
    return {{"corpus.jsonl", "{\"_id\": \"d1\", \"text\": \"one\"}\n{\"_id\": \"d2\", \"text\": \"two\"}\n"},
            {"queries.jsonl", "{\"_id\": \"q1\", \"text\": \"a\"}\n{\"_id\": \"q2\", \"text\": \"b\"}\n"},
            {"qrels/train.tsv", qrels}};
  }
  std::vector<float> Grades(uint32_t query) {
    std::vector<float> grades;
    const auto dataset = Dataset::Open(folder_).value();
    for (const Judgment& judgment : dataset->judgments(0, query)) grades.push_back(judgment.grade);
    return grades;
  }

  std::filesystem::path folder_;
};

TEST_F(OddInput, TrecJudgmentsAreReadInABeirFolder) {
  for (const char* qrels : {"q1\t0\td1\t1\nq2\tQ0\td2\t2\n", "q1 0 d1 1\nq2 Q0 d2 2\n", "q1  0   d1 1 \nq2 0 d2 2", " q1 0\td1 \t 1\t\r\nq2 0 d2\t2\r\n",
                            "q1\td1\t1\t\nq2\td2\t 2 \n"}) {
    const auto report = Import(Beir(qrels));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->schema(), "beir");
    EXPECT_EQ(report->dataset().splits(0).positives(), 2u);
    EXPECT_THAT(Grades(1), ElementsAre(2));
  }
}

TEST_F(OddInput, NegativeGradesAreJudgedAndNotRelevant) {
  const ImportReport report = Import(Beir("q1\td1\t2\nq1\td2\t-1\nq2\td2\t1\nq2\td1\t-2\n")).value();
  EXPECT_THAT(report.notes(), ElementsAre("2 judgments have a negative grade: judged and not relevant, as with grade 0"));
  EXPECT_EQ(report.dataset().splits(0).positives(), 2u);
  EXPECT_EQ(Dataset::Open(folder_).value()->judgments(0, 0)[1].hard_negative, 0) << "training takes no such negative";
}

TEST_F(OddInput, OfTwoGradesTheHighestCountsAndTheReportSaysSo) {
  const ImportReport report = Import(Beir("q1\td1\t1\nq1\td1\t3\nq1\td1\t2\nq1\td1\t3\nq2\td2\t1\n")).value();
  EXPECT_EQ(report.conflicting_judgments(), 2u);
  EXPECT_THAT(report.notes(), ElementsAre(HasSubstr("2 judgments give a query and document another grade than one before: the highest counts")));
  EXPECT_THAT(Grades(0), ElementsAre(3));
}

TEST_F(OddInput, JudgmentsOfMissingTextsAreLeftOutAndCounted) {
  const ImportReport report = Import(Beir("q1\td1\t1\nq9\td1\t1\nq2\td9\t1\nq2\td2\t1\n")).value();
  EXPECT_EQ(report.judgments_without_query(), 1u);
  EXPECT_EQ(report.judgments_without_document(), 1u);
  EXPECT_THAT(report.notes(),
              ElementsAre("2 judgments of 4 name a query or document that does not exist, left out: 1 query and 1 document "
                          "missing; qrels/train.tsv:2 names query \"q9\""));
}

TEST_F(OddInput, AnotherCorpusIsRefused) {
  EXPECT_EQ(ErrorOf(Beir("q1\tx1\t1\nq2\tx2\t1\n")),
            "none of 2 judgments names a document of this corpus: is it another corpus? qrels/train.tsv:1 names document "
            "\"x1\", which does not exist. Import the judgments with the corpus that they were made for.");
  EXPECT_EQ(ErrorOf(Beir("x1\td1\t1\nx2\td9\t1\n")),
            "none of 2 judgments names a query of these queries: are they another split's or another dataset's? "
            "qrels/train.tsv:1 names query \"x1\", which does not exist. Import the judgments with the queries that they were made for.");
  EXPECT_EQ(ErrorOf(Beir("x1\ty1\t1\nx2\ty2\t1\n")),
            "none of 2 judgments names a query or document of these files. qrels/train.tsv:1 names query \"x1\", which does not "
            "exist. Import the judgments with the queries and the corpus that they were made for.");
  EXPECT_THAT(ErrorOf({{"documents.jsonl", R"({"docid": "d1", "text": "one"})"}, {"train.qrels", "q1 0 d1 1\n"}}),
              HasSubstr("the judgments of schema trec name queries by id, and no file holds queries: a file with, per record, query_id"));
  std::string qrels = "q1\td1\t1\nq2\td2\t1\n";
  for (int i = 0; i < 11; ++i) absl::StrAppend(&qrels, "q1\tx", i, "\t1\n");
  EXPECT_THAT(ErrorOf(Beir(qrels)), HasSubstr("11 of 13 judgments (84.6 %) name a missing query or document (0 queries, 11 documents); at most 5 % may."));
  ImportHeader header;
  header.set_max_missing_share(0.9);
  EXPECT_EQ(Import(Beir(qrels), header)->judgments_without_document(), 11u);
  header.set_max_missing_share(0);
  EXPECT_THAT(ErrorOf(Beir("q1\td1\t1\nq2\tx\t1\n"), header), HasSubstr("at most 0 % may")) << "what is asked for is kept strictly";
}

TEST_F(OddInput, NegativesOfAQueryThatHasAPositiveInAnotherRowAreKept) {
  const ImportReport report =
      Import({{"t.jsonl", R"({"query": "early", "pos": [], "neg": ["n0"]})" "\n"
                          R"({"query": "early", "pos": ["p"], "neg": ["n1"]})" "\n"
                          R"({"query": "early", "pos": [], "neg": ["n2"]})" "\n"
                          R"({"query": "never", "pos": [], "neg": ["n3", "n4"]})" "\n"
                          R"({"query": "never", "pos": null, "neg": ["n5"]})" "\n"
                          R"({"query": "never", "neg": ["n6"]})" "\n"}}, [] {
               ImportHeader header;
               header.set_skip_bad(1);  // the last row is bad
               return header;
             }())
          .value();
  EXPECT_EQ(report.queries_without_positive(), 1u);
  EXPECT_EQ(report.bad_records(), 1u);
  EXPECT_EQ(report.dataset().queries(), 1u);
  EXPECT_EQ(report.dataset().passages(), 4u);
  EXPECT_EQ(report.dataset().splits(0).negatives(), 3u);
  EXPECT_THAT(report.notes(), Contains(HasSubstr("1 query has no positive in any row and is left out, with the negatives (the first: t.jsonl:4)")));
}

TEST_F(OddInput, NegativesWithoutAPositiveInTheSplitAreLeftOut) {
  const ImportReport report = Import({{"labels.jsonl", R"({"query_id": "q1", "document_id": "d1", "label": 1})" "\n"
                                                       R"({"query_id": "q2", "document_id": "d1", "label": -1})" "\n"},
                                      {"documents.jsonl", R"({"document_id": "d1", "text": "one"})"},
                                      {"queries.jsonl", R"({"query_id": "q1", "text": "a"})" "\n" R"({"query_id": "q2", "text": "b"})"}})
                                  .value();
  EXPECT_EQ(report.queries_without_positive(), 1u);
  EXPECT_EQ(report.dataset().splits(0).queries(), 1u);
}

TEST_F(OddInput, WhatIsIgnoredIsNeitherPositiveNorNegative) {
  const ImportReport report = Import({{"labels.jsonl", R"({"query_id": "q1", "document_id": "d1", "label": 1})" "\n"
                                                       R"({"query_id": "q1", "document_id": "d2", "label": 0})" "\n"},
                                      {"documents.jsonl", R"({"document_id": "d1", "text": "one"})" "\n" R"({"document_id": "d2", "text": "two"})"},
                                      {"queries.jsonl", R"({"query_id": "q1", "text": "a"})"}})
                                  .value();
  EXPECT_EQ(report.dataset().splits(0).positives(), 1u);
  EXPECT_EQ(report.dataset().splits(0).negatives(), 0u);
  EXPECT_EQ(Dataset::Open(folder_).value()->judgments(0, 0)[1].hard_negative, kIgnored);
}

TEST_F(OddInput, EmptyNegativesAndNullTitlesAreTaken) {
  const ImportReport report = Import({{"t.jsonl", R"({"query": "a", "pos": ["p"], "neg": ["n", ""]})" "\n"
                                                  R"({"query": "b", "pos": ["p"], "neg": []})" "\n"
                                                  R"({"query": "c", "pos": ["p"], "neg": null})" "\n"}})
                                  .value();
  EXPECT_EQ(report.empty_texts(), 1u);
  EXPECT_EQ(report.dataset().queries(), 3u);
}

TEST_F(OddInput, WrongEncodingsAreNamedByLineAndByte) {
  EXPECT_EQ(ErrorOf({{"t.jsonl", "{\"query\": \"caf\xE9\", \"pos\": [\"p\"]}"}}),
            "t.jsonl:1: expected UTF-8, byte 15 of the line (0xE9) is not. If the file is in Latin-1 or Windows-1252, "
            "convert it: iconv -f WINDOWS-1252 -t UTF-8.");
  EXPECT_EQ(ErrorOf({{"t.jsonl", std::string("\xFF\xFE{\0\"\0", 6)}}),
            "t.jsonl:1: byte 1 begins UTF-16, and texts must be in UTF-8. Convert the file: iconv -f UTF-16 -t UTF-8 "
            "t.jsonl > utf8-t.jsonl.");
  EXPECT_THAT(ErrorOf({{"t.csv", std::string("q\0u\0,\0", 6)}}), HasSubstr("begins UTF-16"));
  EXPECT_EQ(ErrorOf({{"t.jsonl", R"({"query": "a", "pos": ["b"], "pos_scores": [NaN]})"}}),
            "t.jsonl:1: expected a finite number, found NaN at byte 45 of the line, which JSON does not have: write a "
            "number or null.");
  EXPECT_THAT(ErrorOf({{"t.jsonl", R"({"query": "a", "pos": ["b"], "pos_scores": [-Infinity]})"}}),
              HasSubstr("found -Infinity at byte 45 of the line"));
  EXPECT_THAT(ErrorOf({{"t.jsonl", R"({"query": "nul \u0000 inside", "pos": ["b"]})"}}),
              HasSubstr("t.jsonl:1: expected text without NUL, byte 16 of the line is an escaped NUL (\\u0000)"));
  EXPECT_THAT(ErrorOf({{"t.jsonl", std::string("{\"query\": \"nul \0\"}", 18)}}), HasSubstr("byte 16 of the line is NUL (0x00)"));
  EXPECT_TRUE(Import({{"t.jsonl", R"({"query": "bell \u0007 \u2028", "pos": ["\u200b\ufeff"]})"}}).ok());
}

TEST_F(OddInput, HalfAnEmojiIsReadAsAReplacementAndCounted) {
  const ImportReport report =
      Import({{"t.jsonl", R"({"query": "cut \ud83d", "pos": ["fish \ud83d\udc1f", "\udc1f\ud83d and \\ud83d"]})"}}).value();
  EXPECT_EQ(report.replaced_characters(), 3u);
  EXPECT_THAT(report.notes(), ElementsAre(HasSubstr("3 halves of surrogate pairs were read as U+FFFD")));
  const auto dataset = Dataset::Open(folder_).value();
  EXPECT_EQ(dataset->query_text(0), "cut \uFFFD");
  EXPECT_EQ(dataset->body(0), "fish \U0001F41F");
  EXPECT_EQ(dataset->body(1), "\uFFFD\uFFFD and \\ud83d");
}

// Such lines once caused an endless recursion in the splitter.
TEST_F(OddInput, ObjectsMayHaveCommasBetweenThem) {
  const std::string a = R"({"query": "a", "pos": ["p"]})", b = R"({"query": "b", "pos": ["p"]})";
  for (const std::string& text : {a + ",\n" + b, a + ",\n" + b + ",\n", "{\n" + a.substr(1) + "," + b}) {
    const auto report = Import({{"t.jsonl", text}});
    ASSERT_TRUE(report.ok()) << text << report.status();
    EXPECT_EQ(report->dataset().queries(), 2u) << text;
  }
  EXPECT_EQ(ErrorOf({{"t.jsonl", a + ",\n,\n" + b}}),
            "t.jsonl:2: expected a JSON object, found \",\". Correct the file: it cannot be read past such a place.");
  EXPECT_THAT(ErrorOf({{"t.jsonl", a + ",\n]"}}), HasSubstr("t.jsonl:2: expected a JSON object, found \"]\""));
}

TEST_F(OddInput, BlanksAroundNamesAndLinesOfBlanksDoNotCount) {
  EXPECT_EQ(Import({{"t.csv", "anchor, positive \nx,y\n"}})->dataset().queries(), 1u);
  EXPECT_EQ(Import(Beir("q1\td1\t1\n  \n \t\nq2\td2\t1\n"))->bad_records(), 0u);
}

TEST_F(OddInput, LinesOfJsonHaveTwoNames) {
  EXPECT_EQ(Import({{"t.ndjson.gz", R"({"query": "a", "pos": ["b"]})"}})->dataset().queries(), 1u);
}

TEST_F(OddInput, ObjectsOverSeveralLinesAreRead) {
  const Files files = {{"t.json", "{\n  \"query\": \"a\",\n  \"pos\": [\n    \"p\"\n  ]\n}"}};
  EXPECT_EQ(Import(files)->dataset().queries(), 1u);
}

TEST_F(OddInput, LongIntegersOfOtherKeysAreNotInTheWay) {
  const auto report = Import({{"t.jsonl", R"({"query": "a", "pos": ["b"], "hash": [123456789012345678901234567890, -7, {"x": null}]})"}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Dataset::Open(folder_).value()->query_text(0), "a");
}

// The client sends a file with only judgments as FILE/qrels/SPLIT.tsv, with the split set separately.
TEST_F(OddInput, MessagesAboutAddedJudgmentsNameTheUsersFile) {
  ASSERT_TRUE(Import(Beir("q1\td1\t1\n")).ok());
  const auto added = [&](const std::string& path, const std::string& split, const std::string& lines) {
    const auto folder = MakeScratchFolder(testing::TempDir(), "added").value();
    ImportHeader header;
    header.set_name("set");
    const auto importer = Importer::Create(header, folder, Dataset::Open(folder_).value()).value();
    absl::Status status = importer->BeginFile(path, split);
    if (status.ok()) status = importer->Chunk(lines);
    if (status.ok()) status = importer->Finish().status();
    std::filesystem::remove_all(folder);
    return std::string(status.message());
  };
  EXPECT_THAT(added("mine.tsv/qrels/train.tsv", "train", "q1\td1\t1\nq1\td1\tgood\n"), testing::StartsWith("mine.tsv:2: expected a number"));
  EXPECT_EQ(added("mine.tsv/qrels/train.tsv", "train", "q7\td1\t1\n"),
            "none of 1 judgment names a query of the dataset or of these files. mine.tsv:1 names query \"q7\", which does not "
            "exist. muster data show NAME prints ids that the dataset has.");
  EXPECT_THAT(added("folder/qrels/train.tsv", "", "q1\td1\tgood\nq1\td1\tgood\n"), testing::StartsWith("folder/qrels/train.tsv:2: "));
}

TEST_F(OddInput, SeveralBeirDatasetsAreNamed) {
  Files files;
  for (const std::string folder : {"a", "b"}) {
    for (const auto& [path, content] : Beir("q1\td1\t1\n")) files.emplace_back(folder + "/" + path, content);
  }
  EXPECT_EQ(ErrorOf(files), "the files hold several BEIR datasets: a, b. Import one of them.");
}

TEST_F(OddInput, WhatCouldMeanTwoThingsIsRefusedWithTheRemedy) {
  EXPECT_THAT(ErrorOf({{"l.jsonl", R"({"query_id": "q1", "document_id": "d1", "relevance": 0})"}}),
              HasSubstr("(--schema beir), or Arctic's labels"));
  EXPECT_THAT(ErrorOf({{"x.jsonl", R"({"_id": "q1", "text": "a"})"}}), HasSubstr("name the file corpus… or queries…"));
  EXPECT_THAT(ErrorOf({{"x.csv", "anchor,positive,domain\na,b,c\n"}}), HasSubstr("the schema was not recognized"));
  ImportHeader header;
  header.set_schema("sentence-transformers");
  EXPECT_THAT(ErrorOf({{"x.csv", "positive,anchor\na,b\n"}}, header), HasSubstr("the order of the columns decides"));
  EXPECT_THAT(ErrorOf({{"a.jsonl", R"({"query": "a", "pos": ["b"]})"}, {"b.jsonl", R"({"query": "a", "positives": ["b"]})"}}),
              HasSubstr("b.jsonl:1: the file is of schema tevatron, and a.jsonl of schema flagembedding"));
}

TEST_F(OddInput, ColumnsOfOtherNamesAreNamed) {
  ImportHeader header;
  (*header.mutable_columns())["query"] = "question";
  (*header.mutable_columns())["pos"] = "good";
  EXPECT_EQ(Import({{"t.jsonl", R"({"question": "a", "good": ["b"], "query": "another"})"}}, header)->schema(), "flagembedding");
  EXPECT_EQ(Dataset::Open(folder_).value()->query_text(0), "a");
  (*header.mutable_columns())["neg"] = "bad";
  EXPECT_EQ(ErrorOf({{"t.jsonl", R"({"question": "a", "good": ["b"]})"}}, header),
            "columns: no record has \"bad\", which is named as \"neg\". Correct --columns.");
  header.set_schema("dpr");
  EXPECT_THAT(ErrorOf({}, header), HasSubstr("columns: \"neg\" is not a field of schema dpr. Fields: hard_negative_ctxs,"));
  ImportHeader by_role;
  (*by_role.mutable_columns())["anchor"] = "q";
  (*by_role.mutable_columns())["positive"] = "a";
  EXPECT_EQ(Import({{"t.csv", "domain,a,q\nweb,answer,question\n"}}, by_role)->schema(), "sentence-transformers");
  EXPECT_EQ(Dataset::Open(folder_).value()->query_text(0), "question");
}

TEST_F(OddInput, ANullNeverMovesTheNextColumnIntoItsPlace) {
  ImportHeader named;
  named.set_schema("sentence-transformers");
  const std::string null_positive = "{\"a\": \"q\", \"b\": null, \"c\": \"n\"}";
  EXPECT_THAT(ErrorOf({{"t.jsonl", null_positive}}, named), HasSubstr("t.jsonl:1: \"b\" must be a string, found null"));
  ImportHeader by_role;
  for (const auto& [role, name] : {std::pair("anchor", "a"), {"positive", "b"}, {"negative", "c"}}) {
    (*by_role.mutable_columns())[role] = name;
  }
  EXPECT_THAT(ErrorOf({{"t.jsonl", null_positive}}, by_role), HasSubstr("\"positive\" must be a string, found null"));
  EXPECT_THAT(ErrorOf({{"t.jsonl", "{\"a\": \"q\", \"b\": \"p\", \"c\": \"n\"}\n{\"a\": \"q\", \"c\": \"n\"}"}}, by_role),
              HasSubstr("t.jsonl:2: \"positive\" must be a string, found nothing"));
  EXPECT_THAT(ErrorOf({{"t.jsonl", "{\"anchor\": \"q\", \"positive\": null}"}}), HasSubstr("\"positive\" must be a string, found null"));
  const ImportReport report =
      Import({{"t.jsonl", "{\"anchor\": \"q\", \"more\": null, \"positive\": \"p\", \"negative_1\": null, \"negative_2\": \"n\"}"}}).value();
  EXPECT_EQ(report.dataset().splits(0).positives(), 1u);
  EXPECT_EQ(report.dataset().splits(0).negatives(), 1u);
}

TEST_F(OddInput, AnAbsentKeyNeverMovesTheNextColumnIntoItsPlace) {
  ImportHeader named;
  named.set_schema("sentence-transformers");
  const std::string full = "{\"a\": \"q\", \"b\": \"p\", \"c\": \"n\"}\n";
  EXPECT_EQ(ErrorOf({{"t.jsonl", full + "{\"a\": \"q2\", \"c\": \"n\"}"}}, named),
            "t.jsonl:2: \"b\" must be a string, found nothing. Fix the line, or import with --skip-bad 10.");
  EXPECT_THAT(ErrorOf({{"t.jsonl", "{\"a\": \"q\", \"c\": \"n\"}\n" + full}}, named),
              HasSubstr("t.jsonl:2: the order of the first record's columns decides (a, c), and it has no \"b\". Name the columns: "
                        "--columns anchor=…,positive=…,negative=…"));
  const ImportReport report = Import({{"t.jsonl", full + "{\"c\": \"n2\", \"b\": \"p2\", \"a\": \"q2\"}\n{\"a\": \"q3\", \"b\": \"p3\"}"}}, named).value();
  EXPECT_EQ(report.dataset().splits(0).positives(), 3u);
  EXPECT_EQ(report.dataset().splits(0).negatives(), 2u);
  EXPECT_EQ(Dataset::Open(folder_).value()->query_text(1), "q2") << "by name, as in the first record";
  EXPECT_THAT(ErrorOf({{"t.jsonl", "{\"query\": \"q\", \"passage\": \"p\", \"negative\": \"n\"}\n{\"query\": \"q\", \"negative\": \"n\"}"}}),
              HasSubstr("t.jsonl:2: \"passage\" must be a string, found nothing"));
}

TEST_F(OddInput, KeysThatNoSchemaReadsAreCounted) {
  const std::string message = R"([{"role": "user", "content": "a"}])";
  const ImportReport swift =
      Import({{"t.jsonl", absl::StrCat("{\"messages\": ", message, ", \"positive_messages\": [", message, "], \"images\": [\"a.png\"], \"source\": \"llm\"}\n",
                                       "{\"messages\": ", message, ", \"positive_messages\": [", message, "], \"images\": [], \"channel\": null}\n",
                                       "{\"messages\": ", message, ", \"positive_messages\": [[{\"role\": \"user\", \"content\": \"b\", \"loss\": true}]], \"images\": [\"b.png\"]}\n")}})
          .value();
  EXPECT_THAT(swift.notes(), ElementsAre("left out, as the schema does not read these keys: images (2 records), positive_messages.loss (1 record)"));
  EXPECT_THAT(swift.dataset().sources(), Contains("llm"));
  Files files = Beir("q1\td1\t1\n");
  files[1].second = "{\"_id\": \"q1\", \"text\": \"a\", \"metadata\": {\"url\": \"x\"}}\n{\"_id\": \"q2\", \"text\": \"b\", \"metadata\": {}}\n";
  EXPECT_THAT(Import(files)->notes(), ElementsAre("left out, as the schema does not read these keys: metadata (1 record)"));
  EXPECT_THAT(Import({{"t.jsonl", R"({"question": "a", "answers": ["x"], "dataset": "nq", "positive_ctxs": [{"text": "b", "score": 3}, {"text": "c", "score": 2}]})"}})->notes(),
              ElementsAre(HasSubstr("answers: left out (1 row)"),
                          "left out, as the schema does not read these keys: dataset (1 record), positive_ctxs.score (1 record)"));
}

TEST_F(OddInput, ARecordThatComesTwiceCountsOnce) {
  Files files = Beir("q1\td1\t1\n");
  files[0].second += "{\"_id\": \"d1\", \"text\": \"one\"}\n";
  files[1].second += "{\"_id\": \"q1\", \"text\": \"a\"}\n";
  const ImportReport report = Import(files).value();
  EXPECT_EQ(report.dataset().passages(), 2u);
  EXPECT_THAT(report.notes(), ElementsAre("2 documents and queries came again with the same id: counted once"));
  files[0].second += "{\"_id\": \"d1\", \"text\": \"another\"}\n";
  EXPECT_THAT(ErrorOf(files), HasSubstr("corpus.jsonl:4: expected the text that document \"d1\" has in an earlier record, found another"));
}

TEST_F(OddInput, TitlesThatAreNumbersAreTheirDigits) {
  Files files = Beir("q1\td1\t1\n");
  files[0].second = "{\"_id\": 1, \"title\": 1984, \"text\": \"one\"}\n{\"_id\": \"d1\", \"title\": null, \"text\": \"two\"}\n";
  ASSERT_TRUE(Import(files).ok());
  EXPECT_EQ(Dataset::Open(folder_).value()->title(0), "1984");
  EXPECT_EQ(Dataset::Open(folder_).value()->title(1), "");
}

TEST_F(OddInput, AnEmptyCellIsAsNull) {
  const ImportReport rows = Import({{"t.csv", "query,pos,neg,pos_scores\nq,p,n,\nr,p,,\nq,,m,\n"}}).value();
  EXPECT_EQ(rows.dataset().splits(0).positives(), 2u);
  EXPECT_EQ(rows.dataset().splits(0).negatives(), 2u);
  EXPECT_EQ(rows.empty_texts(), 0u);
  const ImportReport columns = Import({{"t.csv", ",anchor,positive,negative_1,negative_2,source\n0,a,p,,n,\n1,b,p,m,n,llm\n"}}).value();
  EXPECT_EQ(columns.dataset().splits(0).negatives(), 3u) << "the first column is the index that pandas writes";
  EXPECT_EQ(columns.empty_texts(), 0u);
  EXPECT_THAT(columns.notes(), ElementsAre("left out, as the schema does not read these keys: (no name) (2 records)"));
  EXPECT_THAT(ErrorOf({{"t.csv", "anchor,positive,negative\na,p,\"['n', 'm']\"\n"}}), HasSubstr("found a list that is not JSON, as Python prints it"));
}

TEST_F(OddInput, ATextThatLooksLikeAListIsNeverTakenForAnotherThing) {
  EXPECT_THAT(ErrorOf({{"t.csv", "query,pos,neg\nq,\"['a', 'b']\",n\n"}}),
              HasSubstr("t.csv:2: \"pos\" must be a list of strings, found a list that is not JSON, as Python prints it"));
  const ImportReport lists = Import({{"t.csv", "query,pos,neg\nq,\"[\"\"a\"\", \"\"b\"\"]\",[see 1]\n"}}).value();
  EXPECT_EQ(lists.dataset().splits(0).positives(), 2u);
  EXPECT_EQ(lists.dataset().splits(0).negatives(), 1u);
  const ImportReport texts = Import({{"t.jsonl", R"({"anchor": "q", "positive": "[\"a\", \"b\"]", "negative": "[1, 2]"})"}}).value();
  EXPECT_EQ(texts.dataset().splits(0).positives(), 1u) << "the text is JSON, as code may be";
  EXPECT_EQ(texts.dataset().splits(0).negatives(), 1u);
}

TEST_F(OddInput, ColumnsThatNoRecordHasAreNamed) {
  ImportHeader header;
  (*header.mutable_columns())["query"] = "q";
  (*header.mutable_columns())["positive"] = "nope";
  EXPECT_THAT(ErrorOf({{"t.jsonl", R"({"q": "a", "other": "b"})"}}, header), HasSubstr("and not \"nope\", which --columns names"));
}

TEST_F(OddInput, LabelsAndScoresJudgeAPair) {
  const ImportReport report = Import({{"t.csv", "sentence1,sentence2,label\na,b,1\na,c,0\n"}}).value();
  EXPECT_EQ(report.dataset().splits(0).positives(), 1u);
  EXPECT_EQ(report.dataset().splits(0).negatives(), 1u);
  EXPECT_THAT(ErrorOf({{"t.csv", "sentence1,sentence2,label\na,b,2\n"}}), HasSubstr("\"label\" must be 1 (the texts belong together) or 0, found 2"));
  ASSERT_TRUE(Import({{"t.csv", "sentence1;sentence2;score\na;b;0.5\n"}}).ok());
  EXPECT_THAT(Grades(0), ElementsAre(0.5f));
}

TEST_F(OddInput, CsvFieldsInQuotesHoldLinesAndDelimiters) {
  const auto report = Import({{"t.csv", "\xEF\xBB\xBF\"query\",positive\r\n\"a, \"\"b\"\"\",\"two\nlines\"\r\n\r\nc,d"}});
  ASSERT_TRUE(report.ok()) << report.status();
  const auto dataset = Dataset::Open(folder_).value();
  EXPECT_EQ(dataset->query_text(0), "a, \"b\"");
  EXPECT_EQ(dataset->body(0), "two\nlines");
  EXPECT_EQ(dataset->query_text(1), "c");
  EXPECT_THAT(ErrorOf({{"t.csv", "query,positive\na,b\n\"c,d\n"}}), HasSubstr("t.csv:3: a quote opens here and does not close"));
}

TEST_F(OddInput, AreTakenAsTheirReadmeSays) {
  const std::filesystem::path root = std::filesystem::path(MUSTER_SOURCE_DIR) / "../shared/cases";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "left out: " << root << " does not exist";
  const auto import = [&](const std::string& name) {
    Files files;
    const auto path = root / name;
    if (!std::filesystem::is_directory(path)) {
      files.emplace_back(path.filename().string(), ReadFile(path).value());
    } else {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
        const std::string extension = entry.path().extension().string();
        if (extension != ".jsonl" && extension != ".tsv") continue;
        files.emplace_back(entry.path().lexically_relative(path).string(), ReadFile(entry.path()).value());
      }
    }
    return Import(files);
  };
  for (const char* name : {"20-neg-empty-list/train.jsonl", "21-pos-empty-list/train.jsonl", "22-trec-four-columns/tabs", "22-trec-four-columns/spaces",
                           "23-negative-grades", "25-qrels-name-a-missing-query", "27-title-null", "29-encodings/lone-surrogate.jsonl",
                           "30-json-array/one-line.json", "30-json-array/one-object-many-lines.json", "30-json-array/pretty.json",
                           "36-judged-but-none-relevant"}) {
    EXPECT_TRUE(import(name).ok()) << name << ": " << import(name).status();
  }
  EXPECT_EQ(import("21-pos-empty-list/train.jsonl")->queries_without_positive(), 1u);
  EXPECT_EQ(import("25-qrels-name-a-missing-query")->judgments_without_query(), 1u);
  for (const char* name : {"nan-score", "nul-and-controls", "utf16", "latin1"}) {
    EXPECT_FALSE(import(absl::StrCat("29-encodings/", name, ".jsonl")).ok()) << name;
  }
}

}  // namespace
}  // namespace muster
