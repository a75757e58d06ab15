// Jobs with several training sets, resolved, previewed and streamed through the server.
#include <map>

#include "common/rpc/metadata.h"
#include "common/spec/job_spec.h"
#include "coordinator/data/service/data_server_test_base.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::StartsWith;

class TrainingSetsTest : public DataServerTest {
 protected:
  void SetUp() override {
    DataServerTest::SetUp();
    ASSERT_TRUE(Import(Header("set"), BeirFiles(10)).ok());
    // Queries that the other set does not have; the passages of both are the same texts.
    std::string rows;
    for (int i = 0; i < 6; ++i) {
      absl::StrAppend(&rows, R"({"query": "asked word)", i, " word", i, R"(", "pos": ["told word)", i, R"("]})", "\n");
    }
    ASSERT_TRUE(Import(Header("more"), {{"train.jsonl", rows}}).ok());
    ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
    spec_.set_name("job");
    spec_.mutable_model()->set_preset("tiny");
    spec_.mutable_model()->set_tokenizer("vocab");
    spec_.mutable_data()->add_sets()->set_dataset("set");
    spec_.mutable_data()->add_sets()->set_dataset("more");
    spec_.mutable_batch()->set_queries(4);
    spec_.mutable_duration()->set_epochs(2);
    spec_.mutable_resources()->set_device(v1::DEVICE_CPU);
  }

  absl::StatusOr<v1::ResolvedJob> Resolve() {
    grpc::ClientContext call;
    internal::v1::ResolveRequest request;
    *request.mutable_spec() = spec_;
    internal::v1::ResolveResponse response;
    RETURN_IF_ERROR(FromGrpc(internal::v1::DataPlaneService::NewStub(coordinator_)->Resolve(&call, request, &response)));
    notes_ = NotesOf(call);
    return response.resolved();
  }
  std::string Refusal() { return std::string(Resolve().status().message()); }

  v1::JobSpec spec_;
  std::vector<std::string> notes_;
};

TEST_F(TrainingSetsTest, AreResolvedToADigestEachAndCountedWithTheirWeights) {
  auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  ASSERT_EQ(resolved->train_datasets_size(), 2);
  EXPECT_NE(resolved->train_datasets(0), resolved->train_datasets(1));
  EXPECT_EQ(resolved->train_dataset(), "");
  EXPECT_EQ(resolved->train_queries(), 16u);
  EXPECT_EQ(resolved->steps_per_epoch(), 4u);
  EXPECT_EQ(resolved->total_steps(), 8u);
  spec_.mutable_data()->mutable_sets(0)->set_weight(2.5);
  spec_.mutable_data()->set_homogeneous_batches(true);
  resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->train_queries(), 31u);
  EXPECT_EQ(resolved->steps_per_epoch(), 7u + 2u);
}

TEST_F(TrainingSetsTest, AreStreamedAndPreviewed) {
  spec_.mutable_data()->mutable_sets(0)->set_weight(0.5);
  spec_.mutable_data()->set_homogeneous_batches(true);
  FillDefaults(spec_);
  internal::v1::StreamRequest request;
  request.mutable_identity()->set_job_id("job-1");
  request.mutable_identity()->set_attempt(1);
  request.mutable_identity()->set_world_size(1);
  *request.mutable_spec() = spec_;
  *request.mutable_resolved() = Resolve().value();
  const auto stub =
      internal::v1::DataPlaneService::NewStub(WorkerWith(TicketOf(request.identity(), request.resolved())));
  grpc::ClientContext call;
  const auto reader = stub->Stream(&call, request);
  internal::v1::StepShare share;
  std::map<uint64_t, int> times;
  std::map<uint32_t, int> steps;
  while (reader->Read(&share)) {
    ++steps[share.training_set()];
    for (const uint64_t query : share.query_digests()) ++times[query];
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(steps, (std::map<uint32_t, int>{{0, 4}, {1, 4}})) << "2 of each set per epoch";
  std::map<int, int> queries;
  for (const auto& [query, count] : times) ++queries[count];
  EXPECT_EQ(queries, (std::map<int, int>{{1, 10}, {2, 6}}));

  internal::v1::PreviewRequest preview;
  *preview.mutable_spec() = spec_;
  *preview.mutable_resolved() = request.resolved();
  internal::v1::PreviewResponse response;
  grpc::ClientContext preview_call;
  const absl::Status previewed = FromGrpc(
      internal::v1::DataPlaneService::NewStub(coordinator_)->Preview(&preview_call, preview, &response));
  ASSERT_TRUE(previewed.ok()) << previewed;
  EXPECT_EQ(response.preview().sampled_steps(), 8u);
  EXPECT_DOUBLE_EQ(response.preview().positives_per_query(), 1);
  EXPECT_DOUBLE_EQ(response.preview().sequences_per_step(), 2 * 22.0 / 8) << "a query and a passage each";
}

TEST_F(TrainingSetsTest, WhatIsWrongIsNamedWithItsSet) {
  const v1::JobSpec good = spec_;
  spec_.mutable_data()->mutable_sets(1)->set_dataset("mroe");
  EXPECT_EQ(Refusal(), "data.sets[1].dataset: dataset \"mroe\" does not exist. There are: more, set. Did you mean \"more\"?");
  spec_ = good;
  spec_.mutable_data()->mutable_sets(0)->set_split("trian");
  EXPECT_EQ(Refusal(), "data.sets[0].split: dataset \"set\" has no split \"trian\". There are: dev, none, train. Did you mean "
                       "\"train\"?");
  spec_.mutable_data()->mutable_sets(0)->set_split("none");
  EXPECT_THAT(Refusal(), StartsWith("data.sets[0].split: no query of split \"none\" of dataset \"set\" has a positive"));
  spec_ = good;
  spec_.mutable_data()->mutable_sets(0)->set_weight(0.01);
  EXPECT_EQ(Refusal(), "data.sets[0].weight: is 0.01, and the set has 10 queries, so no epoch would have any of them. Raise it "
                       "to at least 0.1.");
  spec_ = good;
  spec_.mutable_data()->mutable_positives()->add_sources("clicks");
  EXPECT_THAT(Refusal(), StartsWith("data.positives.sources: no dataset of data.sets has judgments of source \"clicks\"."));
}

TEST_F(TrainingSetsTest, AStageMayLeaveOutASetThatOtherStagesTrainOn) {
  v1::ImportHeader header = Header("llm");
  header.set_source("llm");
  ASSERT_TRUE(Import(header, BeirFiles(5)).ok());
  spec_.mutable_data()->mutable_sets(1)->set_dataset("llm");
  spec_.clear_duration();
  spec_.add_stages()->set_epochs(1);
  spec_.mutable_stages(0)->add_sources("llm");
  spec_.add_stages()->set_epochs(1);
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->stages(0).train_queries(), 5u);
  EXPECT_EQ(resolved->stages(1).train_queries(), 15u);
  ASSERT_FALSE(notes_.empty());
  EXPECT_THAT(notes_, testing::Contains("stages[0]: data.sets[0]: no query of split \"train\" of dataset \"set\" has a "
                                        "positive that may be chosen. The stage trains on the other sets alone."));
  spec_.mutable_stages(1)->add_sources("llm");
  EXPECT_EQ(Refusal(), "data.sets[0]: no stage has a positive of it that may be chosen. Remove it, or add a stage with its "
                       "sources.");
}

// Every passage of a batch of `same` is relevant to each of its queries; the other set's passages are not.
TEST_F(TrainingSetsTest, AHomogeneousBatchNeedsNegativesOfItsOwnSet) {
  ASSERT_TRUE(Import(Header("same"), {{"train.jsonl", "{\"query\": \"a\", \"pos\": [\"told\"]}\n"
                                                      "{\"query\": \"b\", \"pos\": [\"told\"]}\n"}}).ok());
  spec_.mutable_data()->mutable_sets(1)->set_dataset("same");
  EXPECT_TRUE(Resolve().ok());
  spec_.mutable_data()->set_homogeneous_batches(true);
  EXPECT_THAT(Refusal(), StartsWith("data.sets[1]: no query of split \"train\" of dataset \"same\" ever has a negative"));
}

}  // namespace
}  // namespace muster
