// Adding to a dataset (ImportHeader.add) through the server.
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class ServerAdd : public DataServerTest {
 protected:
  void SetUp() override {
    DataServerTest::SetUp();
    for (const char* name : {"ana", "ben"}) {
      ASSERT_TRUE(IssueCertificate(root_ / "authority", {.role = Role::kSubmitter, .name = name}, root_ / name).ok());
    }
    ana_ = Channel("ana");
    ben_ = Channel("ben");
  }
  static v1::ImportHeader Adding(const std::string& name, const std::string& source = "") {
    v1::ImportHeader header = Header(name);
    header.set_add(true);
    header.set_source(source);
    return header;
  }
  v1::Dataset Get(const std::string& name) {
    grpc::ClientContext call;
    v1::GetDatasetRequest request;
    request.set_name(name);
    v1::GetDatasetResponse response;
    EXPECT_TRUE(v1::DataService::NewStub(operator_)->GetDataset(&call, request, &response).ok());
    return response.dataset();
  }
  std::shared_ptr<grpc::Channel> ana_, ben_;
};

TEST_F(ServerAdd, JudgmentsAloneReferToTheDatasetsOwnQueriesAndDocuments) {
  const auto before = Import(Header("set"), BeirFiles(20)).value().dataset();
  // Judgments in another order than the dataset's, with a new pair.
  const auto report = Import(Adding("set", "llm"), {{"new.tsv/qrels/train.tsv", "q7\td3\t2\nq1\td1\t1\nq1\td9\t1\n"}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->dataset().queries(), before.queries());
  EXPECT_EQ(report->dataset().passages(), before.passages());
  EXPECT_EQ(report->added().judgments(), 3u);
  EXPECT_EQ(report->added().queries() + report->added().documents() + report->added().repeated_judgments(), 0u);
  EXPECT_THAT(report->sources(), UnorderedElementsAre(testing::Pair("human", 22u), testing::Pair("llm", 3u)));
  EXPECT_NE(report->dataset().digest(), before.digest());
  EXPECT_EQ(Get("set").digest(), report->dataset().digest());
  EXPECT_TRUE(std::filesystem::exists(root_ / "state/datasets" / before.digest())) << "jobs submitted before keep theirs";
}

TEST_F(ServerAdd, TheSameAgainChangesNothing) {
  const auto before = Import(Header("set"), BeirFiles(20)).value().dataset();
  const auto all = Import(Adding("set"), BeirFiles(20));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->dataset().digest(), before.digest());
  EXPECT_EQ(all->added().judgments(), 0u);
  EXPECT_EQ(all->added().repeated_judgments(), 22u);
  const Files judgments = {{"qrels/train.tsv", "q3\td4\t1\n"}};
  const std::string once = Import(Adding("set", "llm"), judgments)->dataset().digest();
  const auto twice = Import(Adding("set", "llm"), judgments).value();
  EXPECT_EQ(twice.dataset().digest(), once);
  EXPECT_EQ(twice.added().repeated_judgments(), 1u);
}

TEST_F(ServerAdd, BringsNewQueriesDocumentsAndSplits) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  const auto report = Import(Adding("set"), {{"corpus.jsonl", R"({"_id": "n", "text": "new text"})" "\n"},
                                             {"queries.jsonl", R"({"_id": "m", "text": "new question"})" "\n"},
                                             {"qrels/test.tsv", "m\tn\t1\nq1\tn\t1\nm\td2\t1\n"}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->added().queries(), 1u);
  EXPECT_EQ(report->added().documents(), 1u);
  EXPECT_EQ(report->added().judgments(), 3u);
  EXPECT_EQ(report->train_queries_in_test(), 2u) << "q0 in dev, q1 in test";
}

TEST_F(ServerAdd, TakesJudgmentsAsTrecWritesThem) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  const auto report = Import(Adding("set", "llm"), {{"new.trec/qrels/train.tsv", "q1 0 d2 1\nq3 0 d0 2\n"}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->added().judgments(), 2u);
}

// Rows of any schema refer to the dataset's own records, too.
TEST_F(ServerAdd, NegativesAloneOfAQueryThatTheDatasetHas) {
  ASSERT_TRUE(Import(Header("rows"), {{"train.jsonl", R"({"query": "a", "pos": ["x"]})" "\n"}}).ok());
  const auto report = Import(Adding("rows"), {{"train.jsonl", R"({"query": "a", "pos": [], "neg": ["y"]})" "\n"}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->added().queries(), 0u);
  EXPECT_EQ(report->added().judgments(), 1u);
}

TEST_F(ServerAdd, HardNegativesAloneMayBeAdded) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  const auto report = Import(Adding("set"), {{"qrels/train.tsv", "q1\td2\t0\n"}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->added().judgments(), 1u);
}

TEST_F(ServerAdd, ReportsOfTheWholeDataset) {
  ASSERT_TRUE(Import(Header("rows"), {{"train.jsonl", R"({"query": "a", "pos": ["x"], "neg": ["y"]})" "\n"}}).ok());
  const auto report = Import(Adding("rows"), {{"train.jsonl", R"({"query": "b", "pos": ["y"]})" "\n"}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->false_negative_share(), 1) << "the old negative is a positive of the new query";
  EXPECT_EQ(report->positives_per_query().at(1), 2u);
  EXPECT_EQ(report->sources().at("human"), 3u);
}

TEST_F(ServerAdd, ThatFailsChangesNothing) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  const std::string digest = Get("set").digest();
  const auto before = StateListing();
  v1::ImportHeader strict = Adding("set");
  strict.set_max_missing_share(0);
  const absl::Status unknown = Import(strict, {{"qrels/train.tsv", "q1\td1\t1\nq1\td77\t1\n"}}).status();
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("1 of 2 judgments (50 %) name a missing query or document"));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("qrels/train.tsv:2 names document \"d77\""));
  const absl::Status conflict = Import(Adding("set"), {{"corpus.jsonl", R"({"_id": "d1", "text": "another"})" "\n"},
                                                       {"qrels/train.tsv", "q1\td1\t1\n"}})
                                    .status();
  EXPECT_THAT(std::string(conflict.message()), HasSubstr("document \"d1\" has another text"));
  EXPECT_EQ(StateListing(), before);
  EXPECT_EQ(Get("set").digest(), digest);
}

TEST_F(ServerAdd, IsForTheOwnerAndOperatorsOfADatasetThatExists) {
  const Files judgments = {{"qrels/train.tsv", "q3\td4\t1\n"}};
  const absl::Status absent = ImportAs(ana_, Adding("set"), judgments).status();
  EXPECT_EQ(ReasonOf(absent), "DATASET_NOT_FOUND");
  ASSERT_TRUE(ImportAs(ana_, Header("set"), BeirFiles(5)).ok());
  EXPECT_EQ(ReasonOf(ImportAs(ben_, Adding("set"), judgments).status()), "NOT_OWNER");
  EXPECT_TRUE(ImportAs(ana_, Adding("set"), judgments).ok());
  const auto by_operator = Import(Adding("set", "llm"), judgments);
  ASSERT_TRUE(by_operator.ok()) << by_operator.status();
  EXPECT_EQ(by_operator->dataset().owner(), "ana") << "it stays hers";
  v1::ImportHeader both = Adding("set");
  both.set_replace(true);
  EXPECT_THAT(std::string(Import(both, judgments).status().message()), HasSubstr("excludes replace"));
}

TEST_F(ServerAdd, LosesAgainstAChangeOfTheNameMeanwhile) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(5)).ok());
  const auto import = BeginImport(Adding("set"), "qrels/train.tsv");
  v1::ImportDatasetResponse response;
  ASSERT_TRUE(import->stream->Read(&response)) << "the server has looked at the name";
  const std::string digest = Import(Adding("set", "llm"), {{"qrels/train.tsv", "q1\td4\t1\n"}})->dataset().digest();
  ASSERT_TRUE(import->Send("q3\td4\t1\n"));
  import->stream->WritesDone();
  import->ReadToEnd();
  EXPECT_EQ(ReasonOf(FromGrpc(import->stream->Finish())), "NAME_CHANGED");
  EXPECT_EQ(Get("set").digest(), digest);
}

}  // namespace
}  // namespace muster
