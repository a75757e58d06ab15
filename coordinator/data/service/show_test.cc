// DataService.ShowDataset through the server.
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::ElementsAre;
using testing::HasSubstr;

class ServerShow : public DataServerTest {
 protected:
  absl::StatusOr<v1::ShowDatasetResponse> Show(const v1::ShowDatasetRequest& request) {
    grpc::ClientContext call;
    v1::ShowDatasetResponse response;
    const absl::Status status = FromGrpc(v1::DataService::NewStub(operator_)->ShowDataset(&call, request, &response));
    if (!status.ok()) return status;
    return response;
  }
  static v1::ShowDatasetRequest Request(const std::string& name, uint32_t queries = 0, uint64_t seed = 0) {
    v1::ShowDatasetRequest request;
    request.set_name(name);
    request.set_queries(queries);
    request.set_seed(seed);
    return request;
  }
  static std::vector<std::string> Ids(const v1::ShowDatasetResponse& response) {
    std::vector<std::string> ids;
    for (const auto& query : response.queries()) ids.push_back(query.id());
    return ids;
  }
};

TEST_F(ServerShow, ASampleIsDeterminedByItsSeedAndBeginsWithTheSmallerOne) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(200)).ok());
  const auto five = Ids(Show(Request("set")).value());
  ASSERT_EQ(five.size(), 5u);
  EXPECT_EQ(Ids(Show(Request("set")).value()), five);
  auto ten = Ids(Show(Request("set", 10)).value());
  ASSERT_EQ(ten.size(), 10u);
  EXPECT_EQ(std::set<std::string>(ten.begin(), ten.end()).size(), 10u);
  ten.resize(5);
  EXPECT_EQ(ten, five);
  EXPECT_NE(Ids(Show(Request("set", 5, 1)).value()), five);
  EXPECT_NE(five, (std::vector<std::string>{"q0", "q1", "q2", "q3", "q4"})) << "not the first ones";
}

TEST_F(ServerShow, ShowsOnlyWhatTheSplitJudges) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(20)).ok());
  v1::ShowDatasetRequest request = Request("set", 100);
  EXPECT_EQ(Show(request)->split(), "train");
  EXPECT_EQ(Show(request)->queries_size(), 20);
  request.set_split("none");
  const auto none = Show(request).value();
  EXPECT_THAT(Ids(none), ElementsAre("q0"));
  EXPECT_EQ(none.queries(0).judged(0).grade(), 0);
  EXPECT_FALSE(none.queries(0).judged(0).hard_negative());
  EXPECT_EQ(none.dataset().name(), "set");
}

TEST_F(ServerShow, ShowsPassagesWithTitleGradeSourceAndKind) {
  ASSERT_TRUE(Import(Header("rows"), {{"rows.jsonl", R"({"query": "a", "pos": ["b"], "pos_scores": [3], "neg": ["c"], "source": "llm"})"
                                                     "\n"}})
                  .ok());
  const auto shown = Show(Request("rows")).value();
  ASSERT_EQ(shown.queries_size(), 1);
  EXPECT_EQ(shown.queries(0).text(), "a");
  EXPECT_EQ(shown.queries(0).judgments(), 2u);
  EXPECT_EQ(shown.queries(0).judged(0).text(), "b");
  EXPECT_EQ(shown.queries(0).judged(0).grade(), 3);
  EXPECT_EQ(shown.queries(0).judged(0).source(), "llm");
  EXPECT_EQ(shown.queries(0).judged(1).text(), "c");
  EXPECT_TRUE(shown.queries(0).judged(1).hard_negative());
}

TEST_F(ServerShow, WhatTheLossIgnoresIsShownAsIgnored) {
  ASSERT_TRUE(Import(Header("rows"), {{"rows.jsonl", R"({"query": "a", "documents": ["b", "c", "d"], "scores": [2, 3, 1]})"
                                                     "\n"}})
                  .ok());
  const auto shown = Show(Request("rows")).value();
  ASSERT_EQ(shown.queries(0).judged_size(), 3);
  std::map<std::string, std::pair<bool, bool>> kinds;  // text → ignored, hard negative
  for (const auto& passage : shown.queries(0).judged()) kinds[passage.text()] = {passage.ignored(), passage.hard_negative()};
  EXPECT_EQ(kinds["b"], std::pair(false, false));
  EXPECT_EQ(kinds["c"], std::pair(true, false)) << "the teacher scores it higher than the positive";
  EXPECT_EQ(kinds["d"], std::pair(false, true));
}

TEST_F(ServerShow, OneQueryIsFoundByItsIdInTheSplitThatJudgesIt) {
  Files files = BeirFiles(3);
  files[3].second = "q0\td0\t1\nq9\td1\t1\n";  // dev
  files[1].second += R"({"_id": "q9", "text": "dev alone"})" "\n";
  ASSERT_TRUE(Import(Header("set"), files).ok());
  v1::ShowDatasetRequest request = Request("set");
  request.set_query_id("q9");
  EXPECT_EQ(Show(request)->split(), "dev");
  EXPECT_EQ(Show(request)->queries(0).judged(0).id(), "d1");
  request.set_query_id("q77");
  EXPECT_EQ(Show(request).status().message(),
            "query_id: dataset \"set\" has no query \"q77\". See some with muster data show set.");
}

TEST_F(ServerShow, RefusesUnknownNamesByName) {
  EXPECT_EQ(ReasonOf(Show(Request("set")).status()), "DATASET_NOT_FOUND");
  ASSERT_TRUE(Import(Header("set"), BeirFiles(3)).ok());
  v1::ShowDatasetRequest request = Request("set");
  request.set_split("trian");
  EXPECT_THAT(std::string(Show(request).status().message()), HasSubstr("Did you mean \"train\"?"));
  EXPECT_THAT(std::string(Show(Request("set", 101)).status().message()), HasSubstr("at most 100"));
}

TEST_F(ServerShow, AnswersFitAMessageWhateverTheTextsAre) {
  std::string rows;
  for (int query = 0; query < 100; ++query) {
    absl::StrAppend(&rows, R"({"query": ")", query, R"(", "pos": [)");
    for (int i = 0; i < 50; ++i) {
      absl::StrAppend(&rows, i == 0 ? "" : ", ", "\"", query, " ", i, " ");
      for (int word = 0; word < 1000; ++word) rows += "é";
      rows += "\"";
    }
    rows += "]}\n";
  }
  Files files = {{"rows.jsonl", ""}};
  for (size_t begin = 0; begin < rows.size(); begin += 1 << 20) files.push_back({"", rows.substr(begin, 1 << 20)});
  ASSERT_TRUE(Import(Header("big"), files).ok());
  const auto shown = Show(Request("big", 100));
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_EQ(shown->queries_size(), 100);
  EXPECT_EQ(shown->queries(0).judged_size(), 50);
  EXPECT_THAT(shown->queries(0).judged(0).text(), testing::EndsWith("é…"));
  v1::ShowDatasetRequest one = Request("big");
  one.set_query_id("q1");
  EXPECT_THAT(Show(one)->queries(0).judged(0).text(), testing::EndsWith("éé")) << "whole, as there is room";
}

}  // namespace
}  // namespace muster
