// Existing names: who may replace or remove what they point to, and what is kept.
#include "coordinator/data/service/ownership.h"

#include "common/deterministic_bytes.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/service/data_server_test_base.h"
#include "coordinator/data/store/catalogue.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Ownership : public DataServerTest {
 protected:
  void SetUp() override {
    DataServerTest::SetUp();
    for (const char* name : {"ana", "ben"}) {
      ASSERT_TRUE(IssueCertificate(root_ / "authority", {.role = Role::kSubmitter, .name = name}, root_ / name).ok());
    }
    Connect();
  }
  void Connect() {
    ana_ = Channel("ana");
    ben_ = Channel("ben");
  }
  // Starts an import that has sent these rows; the test ends it.
  static std::unique_ptr<OpenImport> Open(const std::shared_ptr<grpc::Channel>& channel, const v1::ImportHeader& header,
                                          const std::string& rows) {
    auto import = BeginImportAs(channel, header, "train.jsonl");
    EXPECT_TRUE(import->Send(rows));
    v1::ImportDatasetResponse response;
    EXPECT_TRUE(import->stream->Read(&response)) << "the server has looked at the name, and reads";
    return import;
  }
  v1::Dataset Get(const std::string& name) {
    grpc::ClientContext call;
    v1::GetDatasetRequest request;
    request.set_name(name);
    v1::GetDatasetResponse response;
    EXPECT_TRUE(v1::DataService::NewStub(operator_)->GetDataset(&call, request, &response).ok());
    return response.dataset();
  }
  static absl::Status Remove(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
    grpc::ClientContext call;
    v1::DeleteDatasetRequest request;
    request.set_name(name);
    v1::DeleteDatasetResponse response;
    return FromGrpc(v1::DataService::NewStub(channel)->DeleteDataset(&call, request, &response));
  }
  static absl::Status RemoveModel(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
    grpc::ClientContext call;
    v1::DeleteModelRequest request;
    request.set_name(name);
    v1::DeleteModelResponse response;
    return FromGrpc(v1::ModelService::NewStub(channel)->DeleteModel(&call, request, &response));
  }
  static v1::PushModelRequest PushOf(const std::string& name, const std::string& id = "", bool replace = false) {
    v1::PushModelRequest request;
    request.set_name(name);
    request.set_request_id(id);
    request.set_replace(replace);
    return request;
  }
  static Files OtherVocabulary() { return {{"vocab.txt", Vocabulary()[0].second + "more\n"}}; }
  // Stored by a version without owners.
  void StoreWithoutOwner(const v1::Dataset& dataset) {
    server_.reset();
    v1::Dataset without = dataset;
    without.clear_owner();
    ASSERT_TRUE(Catalogue::Open(root_ / "state/catalogue.db").value()->PutDataset(without).ok());
    StartServer();
    Connect();
  }

  const std::string kTrain = R"({"query": "a", "pos": ["one"]})"
                             "\n"
                             R"({"query": "b", "pos": ["two"]})"
                             "\n";
  const std::string kTest = R"({"query": "c", "pos": ["three"]})"
                            "\n";
  std::shared_ptr<grpc::Channel> ana_, ben_;
};

TEST_F(Ownership, AnImportOverAnExistingNameIsRefusedUnlessReplacingIsAskedFor) {
  ASSERT_TRUE(ImportAs(ana_, Header("set"), BeirFiles(5)).ok());
  const auto before = StateListing();
  for (const auto& channel : {ana_, ben_, operator_}) {
    const absl::Status status = ImportAs(channel, Header("set"), BeirFiles(6)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(ReasonOf(status), "DATASET_EXISTS");
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("dataset \"set\" exists: splits dev (1 query), none (1 query), train (5 queries)"),
                      HasSubstr("imported by ana, at 20"), HasSubstr("with --replace")));
  }
  EXPECT_EQ(StateListing(), before);
  EXPECT_EQ(Get("set").queries(), 5u);
}

TEST_F(Ownership, ADatasetIsReplacedByItsOwnerAndOperatorsAlone) {
  const v1::Dataset first = ImportAs(ana_, Header("set"), BeirFiles(5))->dataset();
  EXPECT_EQ(first.owner(), "ana");
  const absl::Status status = ImportAs(ben_, Replacing("set"), BeirFiles(6)).status();
  EXPECT_EQ(ReasonOf(status), "NOT_OWNER");
  EXPECT_THAT(std::string(status.message()), HasSubstr("dataset \"set\" is of ana, and you are ben."));
  EXPECT_EQ(Get("set").digest(), first.digest());
  EXPECT_EQ(ImportAs(ana_, Replacing("set"), BeirFiles(6))->dataset().queries(), 6u);
  EXPECT_EQ(ImportAs(operator_, Replacing("set"), BeirFiles(7))->dataset().queries(), 7u);
  StartServer();
  EXPECT_EQ(Get("set").owner(), "ana") << "the owner stays, also after a restart";
}

TEST_F(Ownership, ADatasetIsRemovedByItsOwnerAndOperatorsAlone) {
  ASSERT_TRUE(ImportAs(ana_, Header("set"), BeirFiles(5)).ok());
  EXPECT_EQ(ReasonOf(Remove(ben_, "set")), "NOT_OWNER");
  EXPECT_TRUE(Remove(ana_, "set").ok());
  ASSERT_TRUE(ImportAs(ben_, Header("set"), BeirFiles(5)).ok()) << "the name is free";
  EXPECT_TRUE(Remove(operator_, "set").ok());
}

TEST_F(Ownership, WhatWasStoredBeforeOwnersWereKeptIsOperatorsAlone) {
  StoreWithoutOwner(ImportAs(ana_, Header("set"), BeirFiles(5))->dataset());
  EXPECT_THAT(std::string(ImportAs(ana_, Header("set"), BeirFiles(6)).status().message()),
              HasSubstr("imported before owners were kept"));
  EXPECT_EQ(ReasonOf(ImportAs(ana_, Replacing("set"), BeirFiles(6)).status()), "NOT_OWNER");
  EXPECT_EQ(ReasonOf(Remove(ana_, "set")), "NOT_OWNER");
  EXPECT_EQ(ImportAs(operator_, Replacing("set"), BeirFiles(6))->dataset().owner(), "operator");
}

TEST_F(Ownership, ReplacingKeepsTheSplitsThatTheImportDoesNotBring) {
  const v1::Dataset first = ImportAs(ana_, Header("set"), {{"train.jsonl", kTrain}, {"test.jsonl", kTest}})->dataset();
  const auto report = ImportAs(ana_, Replacing("set"),
                               {{"train.jsonl", R"({"query": "d", "pos": ["four"]})"
                                                "\n"},
                                {"dev.jsonl", kTest}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_NE(report->dataset().digest(), first.digest());
  EXPECT_THAT(report->notes(), testing::IsSupersetOf({"split dev: added", "split test: kept",
                                                      "split train: replaced (queries: 2 before, 1 now)"}));
  EXPECT_EQ(Get("set").digest(), report->dataset().digest());
  const auto dataset = Dataset::Open(root_ / "state/datasets" / report->dataset().digest()).value();
  EXPECT_THAT(dataset->splits(), ElementsAre("dev", "test", "train"));
  EXPECT_EQ(dataset->documents(), 2u) << "\"three\" and \"four\"";
  for (uint32_t query = 0; query < dataset->queries(); ++query) {
    for (const Judgment& judgment : dataset->judgments(1, query)) {
      EXPECT_EQ(dataset->query_text(query), "c");
      EXPECT_EQ(dataset->body(judgment.passage), "three");
    }
  }
}

TEST_F(Ownership, ReplacingAllSplitsGivesTheVeryDatasetOfItsFiles) {
  const std::string digest = ImportAs(ana_, Header("alone"), BeirFiles(6))->dataset().digest();
  ASSERT_TRUE(ImportAs(ana_, Header("set"), BeirFiles(5)).ok());
  EXPECT_EQ(ImportAs(ana_, Replacing("set"), BeirFiles(6))->dataset().digest(), digest);
}

TEST_F(Ownership, AReplacementThatFailsLeavesTheOldDataset) {
  const v1::Dataset first = ImportAs(ana_, Header("set"), {{"train.jsonl", kTrain}, {"test.jsonl", kTest}})->dataset();
  const auto before = StateListing();
  EXPECT_FALSE(ImportAs(ana_, Replacing("set"), {{"train.jsonl", kTrain + "no JSON\n"}}).ok());
  v1::ImportHeader cut = Replacing("set");
  cut.set_total_bytes(1 << 20);
  EXPECT_EQ(ImportAs(ana_, cut, {{"train.jsonl", kTest}}).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(StateListing(), before);
  const auto broken = Open(ana_, Replacing("set"), kTest);  // its size differs from the announced one
  broken->call.TryCancel();
  EXPECT_FALSE(broken->Finish().ok());
  server_->Shutdown(absl::Seconds(10));  // waits for the handler
  EXPECT_EQ(StateListing(), before);
  StartServer();
  EXPECT_EQ(DeterministicBytes(Get("set")), DeterministicBytes(first));
}

TEST_F(Ownership, OfTwoConcurrentImportsOfANameOneWinsAndTheOtherIsRefused) {
  ASSERT_TRUE(ImportAs(ben_, Header("same-content"), BeirFiles(5)).ok());
  const auto before = StateListing();
  const auto slow = Open(ana_, Header("set"), kTrain);
  const v1::Dataset won = ImportAs(ben_, Header("set"), BeirFiles(5))->dataset();
  const absl::Status status = slow->Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(ReasonOf(status), "NAME_CHANGED");
  EXPECT_THAT(std::string(status.message()), HasSubstr("imported by ben"));
  EXPECT_EQ(DeterministicBytes(Get("set")), DeterministicBytes(won));
  // The same holds if both replace, or if the name is removed meanwhile.
  const auto second = Open(operator_, Replacing("set"), kTrain);
  ASSERT_TRUE(ImportAs(ben_, Replacing("set"), BeirFiles(5)).ok()) << "the same content, at another time";
  EXPECT_EQ(ReasonOf(second->Finish()), "NAME_CHANGED");
  const auto third = Open(ben_, Replacing("set"), kTrain);
  ASSERT_TRUE(Remove(ben_, "set").ok());
  EXPECT_THAT(std::string(third->Finish().message()), HasSubstr("now it is gone"));
  EXPECT_EQ(StateListing(), before) << "nothing of those who lost";
}

TEST_F(Ownership, APushOverAnExistingNameIsRefusedUnlessReplacingIsAskedFor) {
  EXPECT_EQ(PushAs(ana_, PushOf("vocab"), Vocabulary())->owner(), "ana");
  const absl::Status status = PushAs(ana_, PushOf("vocab"), OtherVocabulary()).status();
  EXPECT_EQ(ReasonOf(status), "MODEL_EXISTS");
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("model \"vocab\" exists: a vocabulary of 12; pushed by ana, at 20"), HasSubstr("--replace")));
  EXPECT_EQ(ReasonOf(PushAs(ben_, PushOf("vocab", "", true), OtherVocabulary()).status()), "NOT_OWNER");
  EXPECT_EQ(PushAs(ana_, PushOf("vocab", "", true), OtherVocabulary())->vocabulary_size(), 13u);
  EXPECT_EQ(PushAs(operator_, PushOf("vocab", "", true), Vocabulary())->owner(), "ana");
  EXPECT_EQ(ReasonOf(RemoveModel(ben_, "vocab")), "NOT_OWNER");
  EXPECT_TRUE(RemoveModel(ana_, "vocab").ok());
}

TEST_F(Ownership, TheSamePushAgainHasTheSameResultAlsoAfterARestart) {
  const v1::Model first = PushAs(ana_, PushOf("vocab", "id-1"), Vocabulary()).value();
  EXPECT_EQ(DeterministicBytes(*PushAs(ana_, PushOf("vocab", "id-1"), Vocabulary())), DeterministicBytes(first));
  StartServer();
  Connect();
  EXPECT_EQ(DeterministicBytes(*PushAs(ana_, PushOf("vocab", "id-1"), Vocabulary())), DeterministicBytes(first));
  EXPECT_EQ(ReasonOf(PushAs(ana_, PushOf("vocab", "id-1", true), OtherVocabulary()).status()), "REQUEST_ID_REUSED");
  EXPECT_EQ(ReasonOf(PushAs(ana_, PushOf("other", "id-1"), Vocabulary()).status()), "REQUEST_ID_REUSED");
  EXPECT_EQ(ReasonOf(PushAs(ben_, PushOf("vocab", "id-1"), Vocabulary()).status()), "MODEL_EXISTS")
      << "ids are a user's own";
  EXPECT_TRUE(absl::IsInvalidArgument(PushAs(ana_, PushOf("x", std::string(129, 'x')), Vocabulary()).status()));
}

}  // namespace
}  // namespace muster
