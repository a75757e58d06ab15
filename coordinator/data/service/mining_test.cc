// What the data server does for mining jobs: checks the name of the result, streams queries to ranks, publishes negatives.
#include "common/spec/job_spec.h"
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using internal::v1::DataPlaneService;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// Dataset "set" has q0..q9 and d0..d9. Rankings number the documents in descending order of ids: d9 is 0, …, d0 is 9.
class ServerMining : public DataServerTest {
 protected:
  void SetUp() override {
    DataServerTest::SetUp();
    base_ = Import(Header("set"), BeirFiles(10)).value().dataset();
    ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
    spec_.set_name("job");
    spec_.mutable_model()->set_preset("tiny");
    spec_.mutable_model()->set_tokenizer("vocab");
    spec_.mutable_duration()->set_steps(0);
    spec_.mutable_resources()->set_device(v1::DEVICE_CPU);
    spec_.mutable_mine()->set_dataset("set");
    spec_.mutable_mine()->set_out("mined");
  }

  absl::StatusOr<v1::ResolvedJob> Resolve(const std::string& owner = "operator") {
    internal::v1::ResolveRequest request;
    FillDefaults(spec_);
    *request.mutable_spec() = spec_;
    request.set_owner(owner);
    grpc::ClientContext call;
    internal::v1::ResolveResponse response;
    RETURN_IF_ERROR(FromGrpc(DataPlaneService::NewStub(coordinator_)->Resolve(&call, request, &response)));
    response.mutable_resolved()->set_mine_owner(owner);  // as the coordinator does
    return response.resolved();
  }
  internal::v1::PublishMinedRequest Request(uint32_t attempt = 1) {
    internal::v1::PublishMinedRequest request;
    *request.mutable_resolved() = Resolve().value();
    *request.mutable_spec() = spec_;
    request.mutable_identity()->set_job_id("job-1");
    request.mutable_identity()->set_attempt(attempt);
    request.mutable_identity()->set_world_size(2);
    return request;
  }
  std::shared_ptr<grpc::Channel> WorkerOf(const internal::v1::PublishMinedRequest& request) {
    internal::v1::Ticket ticket = TicketOf(request.identity(), request.resolved());
    ticket.set_mined_dataset(request.spec().mine().out());
    return WorkerWith(ticket);
  }
  // A serialized MinedNegatives with these document numbers for each query.
  static std::string Mined(const std::vector<std::vector<uint32_t>>& rows) {
    internal::v1::MinedNegatives mined;
    for (const auto& row : rows) {
      mined.add_counts(static_cast<uint32_t>(row.size()));
      mined.mutable_documents()->Add(row.begin(), row.end());
    }
    return mined.SerializeAsString();
  }
  static std::string SomeMined() { return Mined({{0, 1}, {}, {9}, {}, {}, {}, {}, {}, {}, {3, 2, 1}}); }

  absl::StatusOr<v1::Dataset> Publish(const std::shared_ptr<grpc::Channel>& channel, internal::v1::PublishMinedRequest request,
                                      const std::string& mined) {
    ASSIGN_OR_RETURN(const std::string blob, BlobClient(channel).PutBytes(mined));
    request.set_blob(blob);
    return PublishBlob(channel, request);
  }
  static absl::StatusOr<v1::Dataset> PublishBlob(const std::shared_ptr<grpc::Channel>& channel,
                                                 const internal::v1::PublishMinedRequest& request) {
    grpc::ClientContext call;
    const auto reader = DataPlaneService::NewStub(channel)->PublishMined(&call, request);
    internal::v1::PublishMinedResponse response;
    v1::Dataset dataset;
    while (reader->Read(&response)) {
      if (response.has_dataset()) dataset = response.dataset();
    }
    RETURN_IF_ERROR(FromGrpc(reader->Finish()));
    return dataset;
  }
  v1::GetDatasetResponse Get(const std::string& name) {
    grpc::ClientContext call;
    v1::GetDatasetRequest request;
    request.set_name(name);
    v1::GetDatasetResponse response;
    EXPECT_TRUE(v1::DataService::NewStub(operator_)->GetDataset(&call, request, &response).ok());
    return response;
  }
  // Ids of the query's hard negatives in split train, in order.
  std::vector<std::string> NegativesOf(const std::string& dataset, const std::string& query) {
    grpc::ClientContext call;
    v1::ShowDatasetRequest request;
    request.set_name(dataset);
    request.set_split("train");
    request.set_query_id(query);
    v1::ShowDatasetResponse response;
    EXPECT_TRUE(v1::DataService::NewStub(operator_)->ShowDataset(&call, request, &response).ok());
    std::vector<std::string> ids;
    for (const auto& judged : response.queries(0).judged()) {
      if (!judged.hard_negative()) continue;
      EXPECT_EQ(judged.source(), "mined");
      ids.push_back(judged.id());
    }
    return ids;
  }

  v1::JobSpec spec_;
  v1::Dataset base_;
};

TEST_F(ServerMining, EveryRankReadsWhatIsNeverMined) {
  const internal::v1::PublishMinedRequest job = Request();
  for (const uint32_t rank : {0, 1}) {
    internal::v1::StreamEvaluationRequest request;
    *request.mutable_identity() = job.identity();
    request.mutable_identity()->set_rank(rank);
    *request.mutable_spec() = job.spec();
    *request.mutable_resolved() = job.resolved();
    request.set_dataset(job.resolved().mine_dataset());
    request.set_split("train");
    request.set_mining(true);
    grpc::ClientContext call;
    const auto stub = DataPlaneService::NewStub(WorkerWith(TicketOf(request.identity(), request.resolved())));
    const auto reader = stub->StreamEvaluation(&call, request);
    internal::v1::StreamEvaluationResponse response;
    ASSERT_TRUE(reader->Read(&response));
    const internal::v1::EvaluationHeader header = response.header();
    EXPECT_EQ(header.query_count(), 10u);
    EXPECT_EQ(header.judged_offsets_size(), 0);
    EXPECT_EQ(header.mining().positives_size(), 10);
    EXPECT_EQ(header.mining().positives(0), 9u) << "d0";
    EXPECT_EQ(header.mining().excluded_size(), 10);
    while (reader->Read(&response)) continue;
    EXPECT_TRUE(reader->Finish().ok());
  }
}

TEST_F(ServerMining, WhatWasFoundIsAddedAsHardNegativesOfTheSourceMined) {
  const auto request = Request();
  const auto dataset = Publish(WorkerOf(request), request, SomeMined());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->name(), "mined");
  EXPECT_EQ(dataset->owner(), "operator");
  const v1::GetDatasetResponse stored = Get("mined");
  EXPECT_EQ(stored.dataset().digest(), dataset->digest());
  EXPECT_EQ(stored.dataset().passages(), base_.passages());
  EXPECT_EQ(stored.dataset().queries(), base_.queries());
  EXPECT_EQ(stored.dataset().splits_size(), base_.splits_size());
  EXPECT_EQ(stored.report().added().judgments(), 6u);
  EXPECT_EQ(stored.report().added().queries() + stored.report().added().documents(), 0u);
  EXPECT_THAT(stored.report().sources(), UnorderedElementsAre(testing::Pair("human", 12u), testing::Pair("mined", 6u)));
  EXPECT_THAT(stored.report().notes(0), HasSubstr("mined by job job-1 with tiny from dataset set "));
  EXPECT_THAT(stored.report().notes(0), HasSubstr("ranks 1 to 100, at most 4 per query, the highest, at most 0.95 of the lowest"));
  EXPECT_THAT(NegativesOf("mined", "q0"), ElementsAre("d9", "d8"));
  EXPECT_THAT(NegativesOf("mined", "q1"), ElementsAre());
  EXPECT_THAT(NegativesOf("mined", "q2"), ElementsAre("d0"));
  EXPECT_THAT(NegativesOf("mined", "q9"), ElementsAre("d6", "d7", "d8"));
  EXPECT_EQ(Get("set").dataset().digest(), base_.digest());
}

TEST_F(ServerMining, ALaterAttemptGetsTheFirstOnesAnswerAndAnEarlierOneIsRefused) {
  const auto request = Request();
  const std::string first = Publish(WorkerOf(request), request, SomeMined()).value().digest();
  internal::v1::PublishMinedRequest later = request;
  later.mutable_identity()->set_attempt(2);
  const auto again = Publish(WorkerOf(later), later, Mined({{5}, {}, {}, {}, {}, {}, {}, {}, {}, {}}));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->digest(), first);
  EXPECT_EQ(Get("mined").dataset().digest(), first);
  internal::v1::PublishMinedRequest stale = request;
  stale.set_blob(std::string(64, 'a'));
  EXPECT_EQ(ReasonOf(PublishBlob(WorkerOf(request), stale).status()), "STALE_ATTEMPT");
}

TEST_F(ServerMining, TheDatasetsOwnNamePointsToTheNextVersionUnlessItChangedMeanwhile) {
  spec_.mutable_mine()->set_out("set");
  const auto request = Request();
  auto other = request;
  other.mutable_identity()->set_job_id("job-2");
  const auto dataset = Publish(WorkerOf(request), request, SomeMined());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(Get("set").dataset().digest(), dataset->digest());
  EXPECT_NE(dataset->digest(), base_.digest());
  EXPECT_EQ(ReasonOf(Publish(WorkerOf(other), other, SomeMined()).status()), "NAME_CHANGED");
  // Mining from the result finds the same negatives, because they do not count as judged: nothing changes.
  auto next = Request();
  next.mutable_identity()->set_job_id("job-3");
  EXPECT_EQ(Publish(WorkerOf(next), next, SomeMined()).value().digest(), dataset->digest());
}

TEST_F(ServerMining, ANameThatIsTakenIsRefusedAtSubmissionAndWhenPublished) {
  const auto request = Request();
  ASSERT_TRUE(Import(Header("mined"), BeirFiles(3)).ok());
  EXPECT_THAT(std::string(Resolve().status().message()), HasSubstr("mine.out: dataset \"mined\" exists: splits dev"));
  EXPECT_EQ(ReasonOf(Publish(WorkerOf(request), request, SomeMined()).status()), "DATASET_EXISTS");
  EXPECT_EQ(Get("mined").dataset().queries(), 3u);
}

TEST_F(ServerMining, AnotherUsersNameIsRefused) {
  spec_.mutable_mine()->set_out("set");
  EXPECT_EQ(ReasonOf(Resolve("ben").status()), "NOT_OWNER");
  auto request = Request();
  request.mutable_resolved()->set_mine_owner("ben");
  EXPECT_EQ(ReasonOf(Publish(WorkerOf(request), request, SomeMined()).status()), "NOT_OWNER");
  EXPECT_EQ(Get("set").dataset().digest(), base_.digest());
}

TEST_F(ServerMining, ATicketIsForItsDatasetAndOwnerAlone) {
  const auto request = Request();
  const auto worker = WorkerOf(request);
  auto other = request;
  other.mutable_spec()->mutable_mine()->set_out("another");
  EXPECT_EQ(ReasonOf(Publish(worker, other, SomeMined()).status()), "NOT_ASSIGNED");
  other = request;
  other.mutable_resolved()->set_mine_owner("ben");
  EXPECT_EQ(ReasonOf(Publish(worker, other, SomeMined()).status()), "NOT_ASSIGNED");
  EXPECT_EQ(ReasonOf(PublishBlob(worker_, request).status()), "NOT_ASSIGNED") << "no ticket";
  EXPECT_TRUE(Publish(worker, request, SomeMined()).ok());
}

TEST_F(ServerMining, ABlobOfAnotherDatasetIsRefusedAndLeavesNothing) {
  const auto request = Request();
  const auto worker = WorkerOf(request);
  const std::vector<std::string> before = StateListing();
  for (const std::string& wrong :
       {Mined({{0}}), Mined({{10}, {}, {}, {}, {}, {}, {}, {}, {}, {}}), std::string("\xFF\xFF nonsense")}) {
    EXPECT_EQ(Publish(worker, request, wrong).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(StateListing(), before);
}

TEST_F(ServerMining, ASplitWithoutPositivesIsRefusedAtSubmission) {
  spec_.mutable_mine()->set_split("none");
  EXPECT_THAT(std::string(Resolve().status().message()), HasSubstr("mine.split: no query of split \"none\" has a positive."));
  spec_.mutable_mine()->set_split("absent");
  EXPECT_THAT(std::string(Resolve().status().message()), HasSubstr("mine.split: dataset \"set\" has no split \"absent\"."));
}

}  // namespace
}  // namespace muster
