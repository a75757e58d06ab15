// Which callers may call which RPCs of the data server, through sockets.
#include "common/rpc/access/testing_matrix.h"
#include "common/spec/job_spec.h"
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class DataAccess : public DataServerTest {
 protected:
  void SetUp() override {
    DataServerTest::SetUp();
    ASSERT_TRUE(Import(Header("set"), BeirFiles(10)).ok());
    ASSERT_TRUE(Import(Header("secret"), BeirFiles(11)).ok());
    ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
  }
  internal::v1::StreamRequest Request(const std::string& dataset) {
    internal::v1::StreamRequest request;
    v1::JobSpec& spec = *request.mutable_spec();
    spec.set_name("job");
    spec.mutable_model()->set_preset("tiny");
    spec.mutable_model()->set_tokenizer("vocab");
    spec.mutable_data()->set_train(dataset);
    spec.mutable_duration()->set_steps(1);
    spec.mutable_resources()->set_device(v1::DEVICE_CPU);
    FillDefaults(spec);
    request.mutable_identity()->set_job_id("job-1");
    request.mutable_identity()->set_attempt(1);
    request.mutable_identity()->set_rank(1);
    request.mutable_identity()->set_world_size(2);
    internal::v1::ResolveRequest resolve;
    *resolve.mutable_spec() = spec;
    internal::v1::ResolveResponse response;
    grpc::ClientContext call;
    EXPECT_TRUE(internal::v1::DataPlaneService::NewStub(coordinator_)->Resolve(&call, resolve, &response).ok());
    *request.mutable_resolved() = response.resolved();
    return request;
  }
  static absl::Status Stream(const std::shared_ptr<grpc::Channel>& channel,
                             const internal::v1::StreamRequest& request) {
    return CallByName(channel, "DataPlaneService/Stream", request.SerializeAsString());
  }
};

TEST_F(DataAccess, EveryRpcIsForItsRolesAlone) {
  AccessMatrix::WriteTokens(root_);
  tokens_ = root_ / "tokens.yaml";
  StartServer();
  AccessMatrix matrix(root_, absl::StrCat("127.0.0.1:", server_->port()));
  matrix.Check({"DataService/", "DataPlaneService/", "BlobService/", "ModelService/", "BackupService/", "OperationService/"});
}

TEST_F(DataAccess, AStreamIsForTheRankThatTheTicketNames) {
  const internal::v1::StreamRequest request = Request("set");
  const internal::v1::Ticket ticket = TicketOf(request.identity(), request.resolved());
  EXPECT_TRUE(Stream(WorkerWith(ticket), request).ok());
  EXPECT_EQ(ReasonOf(Stream(worker_, request)), "NOT_ASSIGNED") << "without a ticket";
  EXPECT_EQ(ReasonOf(Stream(Channel("worker", "nonsense"), request)), "BAD_TICKET");
  const auto refused = [&](const std::function<void(internal::v1::StreamRequest&)>& change) {
    internal::v1::StreamRequest other = request;
    change(other);
    return ReasonOf(Stream(WorkerWith(ticket), other)) == "NOT_ASSIGNED";
  };
  EXPECT_TRUE(refused([](auto& r) { r.mutable_identity()->set_job_id("job-2"); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_identity()->set_attempt(2); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_identity()->set_rank(0); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_identity()->set_world_size(3); }));
  const internal::v1::StreamRequest secret = Request("secret");
  EXPECT_TRUE(refused([&](auto& r) { r.mutable_resolved()->set_train_dataset(secret.resolved().train_dataset()); }));
  EXPECT_TRUE(refused([&](auto& r) {
    r.mutable_resolved()->clear_train_dataset();
    r.mutable_resolved()->add_train_datasets(request.resolved().train_dataset());
    r.mutable_resolved()->add_train_datasets(secret.resolved().train_dataset());
  }));
  EXPECT_TRUE(refused([&](auto& r) { r.mutable_resolved()->set_tokenizer(std::string(64, 'a')); }));
  internal::v1::Ticket other = ticket;
  other.set_worker("worker-2");
  EXPECT_EQ(ReasonOf(Stream(WorkerWith(other), request)), "NOT_ASSIGNED") << "another worker's ticket";
  EXPECT_TRUE(Stream(WorkerWith(ticket), request).ok()) << "it is the changes that were refused";

  internal::v1::StreamEvaluationRequest evaluation;
  *evaluation.mutable_identity() = request.identity();
  *evaluation.mutable_spec() = request.spec();
  *evaluation.mutable_resolved() = request.resolved();
  evaluation.set_split("dev");
  evaluation.set_dataset(secret.resolved().train_dataset());
  const auto evaluate = [&] {
    return CallByName(WorkerWith(ticket), "DataPlaneService/StreamEvaluation", evaluation.SerializeAsString());
  };
  EXPECT_EQ(ReasonOf(evaluate()), "NOT_ASSIGNED");
  evaluation.set_dataset(request.resolved().train_dataset());
  EXPECT_TRUE(evaluate().ok());
}

TEST_F(DataAccess, BlobsAreReadByManifestsOfTheTicketAlone) {
  const internal::v1::StreamRequest request = Request("set");
  internal::v1::Ticket ticket = TicketOf(request.identity(), request.resolved());
  BlobClient operators(operator_), rank(WorkerWith(ticket));
  const std::string secret = operators.PutBytes("weights of another job").value();
  EXPECT_EQ(ReasonOf(rank.GetBytes(secret).status()), "NOT_ASSIGNED");
  const auto tokenizer = rank.GetManifest(request.resolved().tokenizer_manifest());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_TRUE(rank.GetBytes(tokenizer->files(0).digest()).ok());
  const auto made = rank.PutBytes("my checkpoint");
  EXPECT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(ReasonOf(BlobClient(worker_).PutBytes("no ticket").status()), "NOT_ASSIGNED");
  EXPECT_EQ(ReasonOf(BlobClient(worker_).GetBytes(secret).status()), "NOT_ASSIGNED");
  // The next attempt fences the previous one.
  ticket.set_attempt(2);
  EXPECT_TRUE(BlobClient(WorkerWith(ticket)).PutBytes("later").ok());
  EXPECT_EQ(ReasonOf(rank.PutBytes("too late").status()), "STALE_ATTEMPT");
  EXPECT_EQ(ReasonOf(rank.GetManifest(request.resolved().tokenizer_manifest()).status()), "STALE_ATTEMPT");
}

}  // namespace
}  // namespace muster
