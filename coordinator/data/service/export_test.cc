// DataService.ExportDataset through the server: an export is imported again.
#include <map>
#include <random>

#include <nlohmann/json.hpp>

#include "common/rpc/metadata.h"
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

struct Exported {
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> notes;
};

class ServerExport : public DataServerTest {
 protected:
  absl::StatusOr<Exported> Export(const std::string& name, v1::DatasetFormat format) {
    grpc::ClientContext call;
    v1::ExportDatasetRequest request;
    request.set_name(name);
    request.set_format(format);
    const auto reader = v1::DataService::NewStub(operator_)->ExportDataset(&call, request);
    v1::ExportDatasetResponse response;
    Exported exported;
    while (reader->Read(&response)) {
      if (response.part_case() == v1::ExportDatasetResponse::kFile) {
        exported.files.emplace_back(response.file(), "");
      } else {
        exported.files.back().second += response.chunk();
      }
    }
    const absl::Status status = FromGrpc(reader->Finish());
    if (!status.ok()) return status;
    exported.notes = NotesOf(call);
    return exported;
  }

  // If an export has no notes, importing it gives the same dataset.
  void ExpectTheSameAgain(const std::string& digest, v1::DatasetFormat format, const std::string& source = "") {
    const auto exported = Export("set", format);
    ASSERT_TRUE(exported.ok()) << exported.status();
    EXPECT_THAT(exported->notes, testing::IsEmpty()) << format;
    v1::ImportHeader header = Replacing("again");
    header.set_source(source);
    std::vector<std::pair<std::string, std::string>> files;
    for (const auto& [path, bytes] : exported->files) {
      files.emplace_back(path, bytes.substr(0, 1 << 20));
      for (size_t begin = 1 << 20; begin < bytes.size(); begin += 1 << 20) files.emplace_back("", bytes.substr(begin, 1 << 20));
    }
    const auto again = Import(header, files);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->dataset().digest(), digest) << format;
  }

  static std::string Text(std::mt19937_64& random, const char* word, int range) {
    static const std::vector<std::string> kOdd = {"é \\ \"", "tab\tin", "中文", " two\nlines ", "e\u0301"};
    std::string text = absl::StrCat(word, " ", random() % range);
    if (random() % 4 == 0) absl::StrAppend(&text, " ", kOdd[random() % kOdd.size()]);
    return text;
  }
};

TEST_F(ServerExport, BeirIsImportedToTheSameDataset) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::mt19937_64 random(seed);
    std::string corpus, queries;
    for (int i = 0; i < 30; ++i) {  // texts repeat, some with other white space, some with a title
      corpus += Json({{"_id", absl::StrCat(seed, "-d ", i)},
                      {"title", random() % 2 == 0 ? "" : Text(random, "title", 3)},
                      {"text", Text(random, "told", 10)}})
                    .dump() +
                "\n";
    }
    for (int i = 0; i < 12; ++i) {
      queries += Json({{"_id", absl::StrCat("q", 12 - i)}, {"text", Text(random, "asked", 6)}}).dump() + "\n";
    }
    Files files = {{"corpus.jsonl", corpus}, {"queries.jsonl", queries}};
    for (const char* split : {"train", "dev", "odd.name-1"}) {
      std::map<std::string, std::string> lines;
      for (int i = 0; i < 15; ++i) {
        const std::string pair = absl::StrCat("q", 1 + random() % 12, "\t", seed, "-d ", random() % 30);
        lines.emplace(pair, absl::StrCat(static_cast<double>(random() % 1000) / 300));
      }
      std::string tsv = "query-id\tcorpus-id\tscore\n";
      for (const auto& [pair, score] : lines) absl::StrAppend(&tsv, pair, "\t", score, "\n");
      files.emplace_back(absl::StrCat("qrels/", split, ".tsv"), tsv);
    }
    v1::ImportHeader header = Replacing("set");
    header.set_source("llm");
    const auto report = Import(header, files);
    ASSERT_TRUE(report.ok()) << report.status() << " seed " << seed;
    ExpectTheSameAgain(report->dataset().digest(), v1::DATASET_FORMAT_BEIR, "llm");
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST_F(ServerExport, RowsAreImportedToTheSameDataset) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    const bool grades = random() % 2 == 0;
    Files files;
    for (const char* split : {"dev", "train"}) {
      std::string rows;
      for (int i = 0; i < 20; ++i) {
        Json row = {{"query", Text(random, "asked", 8)}, {"pos", Json::array()}, {"neg", Json::array()}};
        if (random() % 3 > 0) row["source"] = absl::StrCat("source ", random() % 3);
        if (grades) row["pos_scores"] = Json::array();
        for (uint64_t n = 0; n <= random() % 3; ++n) {
          row["pos"].push_back(Text(random, "told", 12));
          if (grades) row["pos_scores"].push_back(static_cast<double>(1 + random() % 1000) / 7);
        }
        for (uint64_t n = 0; n < random() % 3; ++n) row["neg"].push_back(Text(random, "wrong", 12));
        rows += row.dump() + "\n";
      }
      files.emplace_back(absl::StrCat(split, ".jsonl"), rows);
    }
    const auto report = Import(Replacing("set"), files);
    ASSERT_TRUE(report.ok()) << report.status() << " seed " << seed;
    ExpectTheSameAgain(report->dataset().digest(), v1::DATASET_FORMAT_JSONL);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST_F(ServerExport, WritesTheKeysThatOtherToolsRead) {
  ASSERT_TRUE(Import(Header("set"), {{"train.jsonl", R"({"query": "a", "pos": ["b"], "pos_scores": [2], "neg": ["c"]})" "\n"}}).ok());
  const auto rows = Export("set", v1::DATASET_FORMAT_JSONL).value();
  ASSERT_EQ(rows.files.size(), 1u);
  EXPECT_EQ(rows.files[0].first, "train.jsonl");
  EXPECT_EQ(rows.files[0].second,
            R"({"query":"a","query_id":"q1","pos":["b"],"pos_ids":["p1"],"pos_scores":[2],"neg":["c"],"neg_ids":["p2"],)"
            R"("source":"human"})" "\n");
  const auto beir = Export("set", v1::DATASET_FORMAT_BEIR).value();
  ASSERT_EQ(beir.files.size(), 3u);
  EXPECT_EQ(beir.files[2].first, "corpus.jsonl") << "the largest file is the last one";
  EXPECT_EQ(beir.files[2].second, R"({"_id":"p1","title":"","text":"b"})" "\n" R"({"_id":"p2","title":"","text":"c"})" "\n");
  EXPECT_EQ(beir.files[1].first, "qrels/train.tsv");
  EXPECT_EQ(beir.files[1].second, "query-id\tcorpus-id\tscore\nq1\tp1\t2\n");
  EXPECT_THAT(beir.notes, ElementsAre(HasSubstr("1 judgments without a grade, as hard negatives are; BEIR has none")));
}

TEST_F(ServerExport, NotesATeachersScores) {
  ASSERT_TRUE(Import(Header("set"), {{"train.jsonl", R"({"query": "a", "documents": ["b", "c"], "scores": [2, 1]})" "\n"}}).ok());
  for (const auto format : {v1::DATASET_FORMAT_JSONL, v1::DATASET_FORMAT_BEIR}) {
    EXPECT_THAT(Export("set", format)->notes, testing::Contains(HasSubstr("2 scores of a teacher")));
  }
}

TEST_F(ServerExport, SaysWhatAFormatCannotCarry) {
  ASSERT_TRUE(Import(Header("set"), {{"corpus.jsonl", R"({"_id": "d", "title": "t", "text": "x"})" "\n"
                                                      R"({"_id": "e", "text": "y"})" "\n" R"({"_id": "f", "text": "z"})" "\n"},
                                     {"queries.jsonl", R"({"_id": "1", "text": "a"})" "\n" R"({"_id": "2", "text": "b"})" "\n"},
                                     {"qrels/train.tsv", "1\td\t1\n1\te\t0\n"}})
                  .ok());
  EXPECT_THAT(Export("set", v1::DATASET_FORMAT_JSONL)->notes,
              ElementsAre(HasSubstr("1 texts have their title"), HasSubstr("2 documents are left out"),
                          HasSubstr("1 queries are left out"), HasSubstr("1 judgments that are neither"),
                          HasSubstr("numbers queries and documents again")));
  v1::ImportHeader add = Header("set");
  add.set_add(true);
  add.set_source("llm");
  ASSERT_TRUE(Import(add, {{"qrels/train.tsv", "1\td\t3\n"}}).ok());
  const auto beir = Export("set", v1::DATASET_FORMAT_BEIR).value();
  EXPECT_THAT(beir.notes, ElementsAre(HasSubstr("1 judgments of pairs that another source"), HasSubstr("2 sources")));
  EXPECT_EQ(beir.files[1].second, "query-id\tcorpus-id\tscore\n1\td\t3\n1\te\t0\n");
}

TEST_F(ServerExport, RefusesWhatItCannotWriteByName) {
  EXPECT_EQ(ReasonOf(Export("set", v1::DATASET_FORMAT_BEIR).status()), "DATASET_NOT_FOUND");
  ASSERT_TRUE(Import(Header("set"), {{"corpus.jsonl", R"({"_id": "a\tb", "text": "x"})" "\n"},
                                     {"queries.jsonl", R"({"_id": "1", "text": "a"})" "\n"},
                                     {"qrels/train.tsv", "1\tab\t1\n"}})
                  .status().code() == absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(Import(Header("set"), BeirFiles(2)).ok());
  EXPECT_THAT(std::string(Export("set", v1::DATASET_FORMAT_UNSPECIFIED).status().message()),
              HasSubstr("format: is missing"));
}

TEST_F(ServerExport, OfAClientThatHasGoneEnds) {
  std::string rows;
  for (int i = 0; i < 20000; ++i) {
    absl::StrAppend(&rows, R"({"query": "q)", i, R"(", "pos": [")", std::string(1000, 'x'), i, "\"]}\n");
  }
  Files files = {{"rows.jsonl", ""}};
  for (size_t begin = 0; begin < rows.size(); begin += 1 << 20) files.emplace_back("", rows.substr(begin, 1 << 20));
  ASSERT_TRUE(Import(Header("set"), files).ok());
  grpc::ClientContext call;
  v1::ExportDatasetRequest request;
  request.set_name("set");
  request.set_format(v1::DATASET_FORMAT_JSONL);
  const auto reader = v1::DataService::NewStub(operator_)->ExportDataset(&call, request);
  v1::ExportDatasetResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.total_queries(), 20000u);
  call.TryCancel();
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server_->Shutdown(absl::Seconds(10));  // waits for the handler
}

}  // namespace
}  // namespace muster
