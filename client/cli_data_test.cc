// muster data show, report, export, add and resumed imports, against an in-memory cluster.
#include <nlohmann/json.hpp>

#include "client/testing/cli_fixture.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CliDataTest : public CliTest {
 protected:
  std::vector<std::string> Below(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / folder)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

TEST_F(CliDataTest, ShowPrintsTheDatasetAndASample) {
  auto& shown = data_.shown;
  shown.mutable_dataset()->set_name("s");
  shown.mutable_dataset()->set_queries(7);
  shown.mutable_dataset()->add_splits()->set_name("train");
  shown.set_split("train");
  auto& query = *shown.add_queries();
  query.set_id("q1");
  query.set_text("what\x1b[31m is it");
  query.set_judgments(60);
  auto& passage = *query.add_judged();
  passage.set_id("d1");
  passage.set_title("Title");
  passage.set_text("a body");
  passage.set_grade(2);
  passage.set_source("llm");
  query.add_judged()->set_hard_negative(true);
  query.add_judged()->set_ignored(true);
  const Result text = Muster("data show s --split train --queries 3 --seed 9");
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(data_.show.name(), "s");
  EXPECT_EQ(data_.show.split(), "train");
  EXPECT_EQ(data_.show.queries(), 3u);
  EXPECT_EQ(data_.show.seed(), 9u);
  EXPECT_THAT(text.out, HasSubstr("\nquery q1: what [31m is it\n  positive, grade 2, llm, d1\n    Title | a body\n  hard negative"));
  EXPECT_THAT(text.out, HasSubstr("\n  ignored, neither positive nor negative, "));
  EXPECT_THAT(text.out, HasSubstr("… and 57 judgments more"));
  const auto json = nlohmann::json::parse(Muster("data show s --query q1 --output json").out);
  EXPECT_EQ(data_.show.query_id(), "q1");
  EXPECT_EQ(json["splits"][0]["name"], "train") << "the dataset's own keys stay where they were";
  EXPECT_EQ(json["queries"], "7");
  EXPECT_EQ(json["sample"]["split"], "train");
  EXPECT_EQ(json["sample"]["queries"][0]["judged"][0]["title"], "Title");
  EXPECT_EQ(json["sample"]["queries"][0]["judged"][2]["ignored"], true);
  EXPECT_EQ(Muster("data show s --query q1 --seed 2").code, 2);
  EXPECT_EQ(Muster("data show s --queries 101").code, 2);
}

TEST_F(CliDataTest, ReportPrintsAndWritesTheStoredReport) {
  const Result none = Muster("data report old");
  EXPECT_EQ(none.code, 6);
  EXPECT_THAT(none.err, HasSubstr("dataset \"old\" was imported before reports were stored"));
  auto& report = *data_.stored.mutable_report();
  report.mutable_dataset()->set_name("s");
  report.set_schema("beir");
  report.set_empty_texts(3);
  const Result text = Muster("data report s --report r.html");
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("warning: 3 texts without a character"));
  EXPECT_THAT(*ReadFile(folder_ / "r.html"), HasSubstr("3 texts without a character"));
  EXPECT_EQ(Muster("data report s --report r.json").code, 0);
  EXPECT_EQ(nlohmann::json::parse(*ReadFile(folder_ / "r.json")), nlohmann::json::parse(Muster("data report s --output json").out));
}

TEST_F(CliDataTest, AnImportAsksForTokensAndWritesItsReport) {
  Write("x.jsonl", "1");
  const Result result = Muster("data import s x.jsonl --model small --max-length passage=300,query=32 --report out.json");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(data_.header.model(), "small");
  EXPECT_EQ(data_.header.max_length().query(), 32u);
  EXPECT_EQ(data_.header.max_length().passage(), 300u);
  EXPECT_EQ(nlohmann::json::parse(*ReadFile(folder_ / "out.json"))["notes"][0], "a note");
  EXPECT_EQ(Muster("data import s x.jsonl --model small --max-length query=32").code, 0);
  EXPECT_FALSE(data_.header.max_length().has_passage());
  data_.header.Clear();
  for (const char* wrong : {"--max-length query=3", "--model m --max-length 64", "--model m --max-length text=64",
                            "--model m --max-length query=", "--report r.txt", "--report no/such/folder/r.html"}) {
    const Result refused = Muster(absl::StrCat("data import s x.jsonl ", wrong));
    EXPECT_EQ(refused.code, 2) << wrong;
    EXPECT_EQ(data_.header.name(), "") << "nothing was sent";
  }
}

TEST_F(CliDataTest, ExportWritesTheFolderCompletelyOrNotAtAll) {
  data_.export_files = {{"corpus.jsonl", "c"}, {"qrels/train.tsv", "q"}};
  const Result result = Muster("data export s files");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(data_.exported.format(), muster::v1::DATASET_FORMAT_BEIR);
  EXPECT_EQ(*ReadFile(folder_ / "files/qrels/train.tsv"), "q");
  EXPECT_THAT(result.err, HasSubstr("note: left out: 1 hard negatives"));
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat("to import it again: muster data import NAME ", (folder_ / "files").string())));
  data_.stored.mutable_dataset()->add_sources("llm");
  EXPECT_THAT(Muster("data export s of-one-source").out, HasSubstr("import it again: muster data import NAME --source 'llm' /"));
  const Result again = Muster("data export s files");
  EXPECT_EQ(again.code, 6);
  EXPECT_THAT(again.err, HasSubstr("exists and is not empty"));
  const auto json = nlohmann::json::parse(Muster("data export s json --format jsonl --output json").out);
  EXPECT_EQ(data_.exported.format(), muster::v1::DATASET_FORMAT_JSONL);
  EXPECT_EQ(json["files"][0]["path"], "corpus.jsonl");
  EXPECT_EQ(json["notes"][0], "left out: 1 hard negatives");

  const auto before = Below(".");
  data_.export_error = {grpc::StatusCode::INTERNAL, "broke"};
  EXPECT_NE(Muster("data export s broken").code, 0);
  data_.export_error = grpc::Status::OK;
  for (const char* path : {"../evil", "/tmp/evil", "corpus.jsonl"}) {
    data_.export_files = {{"corpus.jsonl", "c"}, {path, "x"}};
    EXPECT_NE(Muster("data export s hostile").code, 0) << path;
  }
  data_.hang = &jobs_;
  const Result interrupted =
      Interrupted({"data", "export", "s", (folder_ / "cut").string(), "--address", address_, "--insecure"});
  EXPECT_EQ(interrupted.code, 130);
  EXPECT_THAT(interrupted.err, HasSubstr("data export: interrupted. Nothing was written to"));
  EXPECT_EQ(Below("."), before);
}

TEST_F(CliDataTest, AddNamesJudgmentsAloneAfterTheirSplit) {
  data_.stored.mutable_dataset()->add_splits()->set_name("train");
  Write("new.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n");
  EXPECT_EQ(Muster("data add s new.tsv --source llm").code, 0);
  EXPECT_TRUE(data_.header.add());
  EXPECT_FALSE(data_.header.replace());
  EXPECT_EQ(data_.header.source(), "llm");
  EXPECT_THAT(data_.order, ElementsAre("new.tsv/qrels/train.tsv")) << "the dataset's only split";
  data_.stored.mutable_dataset()->add_splits()->set_name("test");
  const Result unclear = Muster("data add s new.tsv");
  EXPECT_EQ(unclear.code, 2);
  EXPECT_THAT(unclear.err, HasSubstr("Add --split, for one of: train, test."));
  data_.order.clear();
  EXPECT_EQ(Muster("data add s new.tsv --split test").code, 0);
  Write("dev.tsv", "q1\td1\t1\n");
  EXPECT_EQ(Muster("data add s dev.tsv").code, 0);
  EXPECT_THAT(data_.order, ElementsAre("new.tsv/qrels/test.tsv", "dev.tsv/qrels/dev.tsv"));
  const Result contradiction = Muster("data add s dev.tsv --split test");
  EXPECT_EQ(contradiction.code, 2);
  EXPECT_THAT(contradiction.err, HasSubstr("is named after split dev, and the given split is test"));
  data_.order.clear();
  for (const char* lines : {"q1 0 d1 1\n", "q1\tQ0\td1\t2\n"}) {
    Write("dev.trec", lines);
    EXPECT_EQ(Muster("data add s dev.trec").code, 0);
  }
  EXPECT_THAT(data_.order, ElementsAre("dev.trec/qrels/dev.tsv", "dev.trec/qrels/dev.tsv"));
  data_.order.clear();
  Write("rows.jsonl", "{}");
  EXPECT_EQ(Muster("data add s rows.jsonl").code, 0);
  EXPECT_THAT(data_.order, ElementsAre("rows.jsonl"));
}

TEST_F(CliDataTest, AnUploadThatBrokeContinuesWithTheSameCommand) {
  constexpr size_t kBytes = 10 << 20, kBreak = 6 << 20;
  std::string bytes(kBytes, 'x');
  for (size_t i = 0; i < kBytes; i += 4096) bytes[i] = static_cast<char>('a' + i / 4096 % 26);
  Write("rows.jsonl", bytes);
  blobs_.break_after = kBreak;
  const Result broken = Muster("data import s rows.jsonl --resume");
  EXPECT_NE(broken.code, 0);
  EXPECT_THAT(broken.err, HasSubstr("data import: "));
  EXPECT_TRUE(data_.blobs.empty()) << "the import itself did not begin";
  EXPECT_EQ(blobs_.received, kBreak);
  const Result whole = Muster("data import s rows.jsonl --resume");
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(blobs_.received, kBytes) << "no byte was sent twice";
  const std::string digest = Sha256Hex(bytes);
  EXPECT_EQ(blobs_.blobs[digest], bytes);
  EXPECT_EQ(data_.blobs["rows.jsonl"], digest);
  EXPECT_EQ(data_.files["rows.jsonl"], "") << "no chunk follows";
  EXPECT_EQ(data_.header.total_bytes(), kBytes);
  EXPECT_EQ(Muster("data import s rows.jsonl --resume --replace").code, 0);
  EXPECT_EQ(blobs_.received, kBytes) << "what the server has is not sent at all";
}

TEST_F(CliDataTest, AnImportThatIsNotWelcomeSendsNothing) {
  Write("rows.jsonl", "{}");
  data_.import_error = {grpc::StatusCode::ALREADY_EXISTS, "dataset \"s\" exists"};
  const Result refused = Muster("data import s rows.jsonl --resume");
  EXPECT_EQ(refused.code, 6);
  EXPECT_EQ(refused.err, "dataset \"s\" exists\n");
  EXPECT_EQ(blobs_.received, 0u);
}

TEST_F(CliDataTest, LargeImportsCanBeContinuedWithoutAsking) {
  Write("rows.jsonl", std::string(64 << 20, 'x'));
  EXPECT_EQ(Muster("data import s rows.jsonl").code, 0);
  EXPECT_EQ(blobs_.received, 64u << 20);
  Write("rows.jsonl", std::string(1 << 20, 'x'));
  EXPECT_EQ(Muster("data import s rows.jsonl").code, 0);
  EXPECT_EQ(blobs_.received, 64u << 20);
  EXPECT_EQ(data_.files["rows.jsonl"].size(), 1u << 20) << "small ones are streamed";
}

}  // namespace
}  // namespace muster
