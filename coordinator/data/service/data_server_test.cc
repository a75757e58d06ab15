// Resolve and streams through the server.
#include "coordinator/data/service/data_server_test_base.h"

#include <iostream>
#include <latch>
#include <map>
#include <set>
#include <thread>

#include "common/deterministic_bytes.h"
#include "common/model/hf_config.h"
#include "common/model/testing/zero_weights.h"
#include "common/rpc/metadata.h"
#include "common/spec/job_spec.h"
#include "common/version.h"
#include "test_paths.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::HasSubstr;

class ServerStream : public DataServerTest {
 protected:
  void SetUp() override {
    DataServerTest::SetUp();
    ASSERT_TRUE(Import(Header("set"), BeirFiles(10)).ok());
    ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
    spec_.set_name("job");
    spec_.mutable_model()->set_preset("tiny");
    spec_.mutable_model()->set_tokenizer("vocab");
    spec_.mutable_data()->set_train("set");
    spec_.mutable_batch()->set_queries(4);
    spec_.mutable_duration()->set_epochs(2);
    spec_.mutable_report()->set_dataset("set");
    spec_.mutable_report()->set_split("dev");
    spec_.mutable_resources()->set_device(v1::DEVICE_CPU);
    FillDefaults(spec_);
  }

  absl::StatusOr<v1::ResolvedJob> Resolve() {
    grpc::ClientContext call;
    internal::v1::ResolveRequest request;
    *request.mutable_spec() = spec_;
    internal::v1::ResolveResponse response;
    RETURN_IF_ERROR(
        FromGrpc(internal::v1::DataPlaneService::NewStub(coordinator_)->Resolve(&call, request, &response)));
    return response.resolved();
  }
  // The notes in the answer's metadata.
  std::vector<std::string> ResolveNotes() {
    grpc::ClientContext call;
    internal::v1::ResolveRequest request;
    *request.mutable_spec() = spec_;
    internal::v1::ResolveResponse response;
    const absl::Status status =
        FromGrpc(internal::v1::DataPlaneService::NewStub(coordinator_)->Resolve(&call, request, &response));
    EXPECT_TRUE(status.ok()) << status;
    return NotesOf(call);
  }
  // Many submissions of the job at once, each over its own connection.
  std::vector<absl::StatusOr<v1::ResolvedJob>> ResolveManyAtOnce() {
    constexpr int kSubmits = 16;
    internal::v1::ResolveRequest request;
    *request.mutable_spec() = spec_;
    std::vector<absl::StatusOr<v1::ResolvedJob>> resolved(kSubmits);
    std::vector<std::thread> threads;
    std::latch together(kSubmits);
    for (auto& result : resolved) {
      threads.emplace_back([&, stub = internal::v1::DataPlaneService::NewStub(Channel("coordinator"))] {
        together.arrive_and_wait();
        grpc::ClientContext call;
        internal::v1::ResolveResponse response;
        const absl::Status status = FromGrpc(stub->Resolve(&call, request, &response));
        if (status.ok()) {
          result = response.resolved();
        } else {
          result = status;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return resolved;
  }
  // An encoder of 12 vocabulary entries, with zero weights.
  static Files SmallModel() {
    EncoderConfig config;
    config.vocabulary_size = 12;
    config.hidden_size = config.intermediate_size = 4;
    config.layers = config.heads = 1;
    config.max_positions = 512;
    Files model = Vocabulary();
    model.push_back({"config.json", R"({"model_type": "bert", "vocab_size": 12, "hidden_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 1, "intermediate_size": 4, "max_position_embeddings": 512})"});
    model.push_back({"model.safetensors", ZeroWeights(EncoderTensors(config))});
    return model;
  }
  std::string ResolveError() { return std::string(Resolve().status().message()); }

  internal::v1::StreamRequest Request(uint32_t attempt, uint32_t rank = 0, uint32_t world_size = 1,
                                      uint64_t from_step = 0) {
    internal::v1::StreamRequest request;
    request.mutable_identity()->set_job_id("job-1");
    request.mutable_identity()->set_attempt(attempt);
    request.mutable_identity()->set_rank(rank);
    request.mutable_identity()->set_world_size(world_size);
    *request.mutable_spec() = spec_;
    *request.mutable_resolved() = Resolve().value();
    request.set_from_step(from_step);
    return request;
  }
  std::shared_ptr<grpc::Channel> WorkerFor(const internal::v1::StreamRequest& request) {
    return WorkerWith(TicketOf(request.identity(), request.resolved()));
  }
  struct Streamed {
    std::vector<internal::v1::StepShare> shares;
    absl::Status status;
  };
  Streamed Stream(const internal::v1::StreamRequest& request) {
    grpc::ClientContext call;
    const auto stub = internal::v1::DataPlaneService::NewStub(WorkerFor(request));
    const auto reader = stub->Stream(&call, request);
    Streamed streamed;
    internal::v1::StepShare share;
    while (reader->Read(&share)) streamed.shares.push_back(share);
    streamed.status = FromGrpc(reader->Finish());
    return streamed;
  }

  v1::JobSpec spec_;
};

TEST_F(ServerStream, ResolvesNamesAndSteps) {
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->train_dataset().size(), 64u);
  EXPECT_EQ(resolved->report_dataset(), resolved->train_dataset());
  EXPECT_EQ(resolved->evaluate_dataset(), "");
  EXPECT_EQ(resolved->model_manifest(), "");
  EXPECT_EQ(resolved->vocabulary_size(), 12u);
  EXPECT_EQ(resolved->train_queries(), 10u);
  EXPECT_EQ(resolved->steps_per_epoch(), 3u);
  EXPECT_EQ(resolved->total_steps(), 6u);
  EXPECT_EQ(BlobClient(operator_).GetManifest(resolved->tokenizer_manifest()).value().files(0).path(), "vocab.txt");
}

TEST_F(ServerStream, ResolvesEachStageAndNamesTheOneThatCannotBe) {
  spec_.clear_duration();
  spec_.add_stages()->set_epochs(2);
  spec_.add_stages()->set_steps(5);
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->total_steps(), 11u);
  EXPECT_EQ(resolved->train_queries(), 10u);
  ASSERT_EQ(resolved->stages_size(), 2);
  EXPECT_EQ(resolved->stages(0).steps(), 6u);
  EXPECT_EQ(resolved->stages(1).steps(), 5u);
  EXPECT_EQ(resolved->stages(1).steps_per_epoch(), 3u);
  const Streamed streamed = Stream(Request(1));
  EXPECT_TRUE(streamed.status.ok()) << streamed.status;
  std::vector<uint32_t> stages;
  for (const auto& share : streamed.shares) stages.push_back(share.stage());
  EXPECT_EQ(stages, (std::vector<uint32_t>{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1}));
  spec_.mutable_stages(1)->add_sources("llm");
  EXPECT_EQ(ResolveError(),
            "stages[1]: data.positives.sources: dataset \"set\" has no judgments of source \"llm\". There are: human.");
}

TEST_F(ServerStream, NamesWhatCannotBeResolved) {
  const v1::JobSpec good = spec_;
  spec_.mutable_data()->set_train("sett");
  EXPECT_EQ(ResolveError(), "data.train: dataset \"sett\" does not exist. There are: set. Did you mean \"set\"?");
  EXPECT_EQ(ReasonOf(Resolve().status()), "DATASET_NOT_FOUND");
  spec_ = good;
  spec_.mutable_data()->set_split("trian");
  EXPECT_EQ(ResolveError(),
            "data.split: dataset \"set\" has no split \"trian\". There are: dev, none, train. Did you mean \"train\"?");
  spec_.mutable_data()->set_split("none");
  EXPECT_THAT(ResolveError(), HasSubstr("data.split: no query of split \"none\" of dataset \"set\" has a positive"));
  spec_ = good;
  spec_.mutable_data()->mutable_positives()->add_sources("llm");
  EXPECT_EQ(ResolveError(),
            "data.positives.sources: dataset \"set\" has no judgments of source \"llm\". There are: human.");
  spec_ = good;
  spec_.mutable_report()->set_split("none");
  EXPECT_EQ(ResolveError(), "report.split: no query of split \"none\" has a positive. Choose another split.");
  spec_ = good;
  spec_.mutable_model()->set_tokenizer("vocabulary");
  EXPECT_EQ(ResolveError(), "model.tokenizer: model \"vocabulary\" does not exist. There are: vocab.");
  spec_ = good;
  spec_.mutable_model()->mutable_max_length()->set_passage(1024);
  EXPECT_THAT(ResolveError(), HasSubstr("model.max_length.passage: 1024"));
  spec_ = good;
  spec_.mutable_model()->clear_preset();
  spec_.mutable_model()->clear_tokenizer();
  spec_.mutable_model()->set_from("vocab");
  EXPECT_THAT(ResolveError(), HasSubstr("model.from: \"vocab\" is only a vocabulary, without weights."));
}

TEST_F(ServerStream, TheFirstSubmitsWithANewTokenizerAllSucceed) {
  const auto all = ResolveManyAtOnce();
  ASSERT_TRUE(all[0].ok()) << all[0].status();
  for (const auto& resolved : all) {
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(DeterministicBytes(*resolved), DeterministicBytes(*all[0]));
  }
  EXPECT_EQ(BlobClient(operator_).GetManifest(all[0]->tokenizer_manifest())->files_size(), 1);
  EXPECT_EQ(Resolve()->tokenizer_manifest(), all[0]->tokenizer_manifest());
}

TEST_F(ServerStream, TheFirstSubmitsWithANewModelAllSucceed) {
  const auto pushed = Push("encoder", SmallModel());
  ASSERT_TRUE(pushed.ok()) << pushed.status();
  spec_.mutable_model()->clear_preset();
  spec_.mutable_model()->clear_tokenizer();
  spec_.mutable_model()->set_from("encoder");
  const auto all = ResolveManyAtOnce();
  for (const auto& resolved : all) {
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->model_manifest(), pushed->manifest());
    EXPECT_EQ(resolved->tokenizer_manifest(), all[0]->tokenizer_manifest());
    EXPECT_EQ(resolved->tokenizer(), all[0]->tokenizer());
    EXPECT_EQ(resolved->train_dataset(), all[0]->train_dataset());
    EXPECT_EQ(resolved->total_steps(), all[0]->total_steps());
  }
}

TEST_F(ServerStream, APreviewSaysWhatRanksWouldReadAndStoresNothing) {
  internal::v1::PreviewRequest request;
  *request.mutable_spec() = spec_;
  *request.mutable_resolved() = Resolve().value();
  const auto preview = [&](const std::shared_ptr<grpc::Channel>& channel, internal::v1::PreviewResponse& response) {
    grpc::ClientContext call;
    return FromGrpc(internal::v1::DataPlaneService::NewStub(channel)->Preview(&call, request, &response));
  };
  const auto stored = [&] {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_ / "state")) {
      if (entry.is_regular_file()) files.insert(entry.path());
    }
    return files;
  };
  const auto before = stored();
  internal::v1::PreviewResponse response;
  const absl::Status status = preview(coordinator_, response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(stored(), before);
  EXPECT_EQ(preview(operator_, response).code(), absl::StatusCode::kPermissionDenied) << "for coordinators";

  const Streamed streamed = Stream(Request(1));
  ASSERT_EQ(streamed.shares.size(), 6u);
  double tokens = 0, positives = 0, rows = 0;
  for (const internal::v1::StepShare& share : streamed.shares) {
    rows += share.query_count();
    positives += share.positives_size();
    for (const auto& micro : share.micro_batches()) {
      for (const uint32_t length : micro.lengths()) tokens += length;
    }
  }
  EXPECT_EQ(response.preview().total_steps(), 6u);
  EXPECT_EQ(response.preview().sampled_steps(), 6u);
  EXPECT_DOUBLE_EQ(response.preview().tokens_per_step(), tokens / 6);
  EXPECT_DOUBLE_EQ(response.preview().positives_per_query(), positives / rows);
  // The preset with 12 words: 2 layers of 128, 512 positions, 2 types.
  const uint64_t layer = 4 * (128 * 128 + 128) + 2 * 128 * 512 + 512 + 128 + 4 * 128;
  const uint64_t parameters = (12 + 512 + 2 + 2) * 128 + 2 * layer;
  EXPECT_GE(response.preview().bytes_per_rank(), 16 * parameters + spec_.batch().keep_activations());
  EXPECT_LT(response.preview().bytes_per_rank(), 16 * parameters + spec_.batch().keep_activations() + (1 << 20));
}

TEST_F(ServerStream, MatryoshkaSizesMustEndWithTheWholeEmbedding) {
  spec_.mutable_loss()->add_matryoshka_dimensions(64);
  EXPECT_THAT(ResolveError(), HasSubstr("loss.matryoshka_dimensions: the largest is 64, and the model has 128 numbers"));
  spec_.mutable_loss()->add_matryoshka_dimensions(128);
  EXPECT_TRUE(Resolve().ok()) << Resolve().status();
  spec_.mutable_loss()->add_matryoshka_dimensions(256);
  EXPECT_THAT(ResolveError(), HasSubstr("loss.matryoshka_dimensions: 256: the model has 128 numbers"));
}

TEST_F(ServerStream, RefusesTrainingWithoutANegativeAndNamesUnusedHardNegatives) {
  EXPECT_THAT(ResolveNotes(), testing::IsEmpty());
  std::string same, hard, several;
  for (int i = 0; i < 8; ++i) {
    absl::StrAppend(&same, R"({"query": "asked word)", i, R"(", "pos": ["told word"], "neg": []})", "\n");
    absl::StrAppend(&hard, R"({"query": "asked word)", i, R"(", "pos": ["told word"], "neg": ["told asked"]})", "\n");
    absl::StrAppend(&several, R"({"query": "asked word)", i, R"(", "pos": ["told word", "word"], "neg": []})", "\n");
  }
  ASSERT_TRUE(Import(Header("same"), {{"train.jsonl", same}}).ok());
  ASSERT_TRUE(Import(Header("hard"), {{"train.jsonl", hard}}).ok());
  ASSERT_TRUE(Import(Header("several"), {{"train.jsonl", several}}).ok());
  spec_.mutable_data()->set_train("same");
  for (int objective = v1::Objective_MIN + 1; objective <= v1::Objective_MAX; ++objective) {
    spec_.mutable_loss()->set_objective(static_cast<v1::Objective>(objective));
    EXPECT_EQ(ResolveError(),
              "data.train: no query of split \"train\" ever has a negative: all passages of every batch are relevant to it, "
              "so the loss would be 0 at every step. Import more passages, or hard negatives, and set "
              "data.negatives.per_query.");
  }
  spec_.mutable_data()->set_train("several");
  spec_.mutable_loss()->set_objective(v1::OBJECTIVE_LSEPAIR);
  EXPECT_THAT(ResolveError(), HasSubstr("ever has a negative"));
  spec_.mutable_loss()->set_objective(v1::OBJECTIVE_JOINTLH);
  EXPECT_THAT(ResolveNotes(), testing::ElementsAre(HasSubstr("so training only evens out the scores of its positives")));

  spec_.mutable_data()->set_train("hard");
  EXPECT_THAT(ResolveError(), HasSubstr("Set data.negatives.per_query to use the hard negatives of the data."));
  spec_.mutable_data()->mutable_negatives()->set_per_query(1);
  EXPECT_THAT(ResolveNotes(), testing::IsEmpty());

  spec_.mutable_data()->set_train("set");
  spec_.mutable_data()->mutable_negatives()->set_per_query(0);
  spec_.mutable_batch()->set_queries(1);
  EXPECT_THAT(ResolveError(), HasSubstr("Raise batch.queries"));
}

TEST_F(ServerStream, RefusesDistillationThatSaysNothing) {
  spec_.mutable_loss()->mutable_distill()->set_kind(v1::DISTILL_KIND_MARGIN_MSE);
  EXPECT_EQ(ResolveError(), "loss.distill: no judgment of split \"train\" has a teacher's score. Import data with scores "
                            "(docs/reference/data-schemas.md), or remove loss.distill.");
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    absl::StrAppend(&lines, R"({"query": "asked word)", i, R"(", "pos": ["told word)", i, R"("], "neg": ["told asked"])",
                    i < 6 ? R"(, "pos_scores": [2], "neg_scores": [-1])" : "", "}\n");
  }
  ASSERT_TRUE(Import(Header("taught"), {{"train.jsonl", lines}}).ok());
  spec_.mutable_data()->set_train("taught");
  spec_.mutable_data()->mutable_negatives()->set_per_query(0);
  EXPECT_EQ(ResolveError(), "loss.distill: no query of split \"train\" brings a positive and another passage that a teacher "
                            "scored to a step. Set data.negatives.per_query.");
  spec_.mutable_data()->mutable_negatives()->set_per_query(2);
  EXPECT_THAT(ResolveNotes(), testing::ElementsAre("loss.distill: 6 of 8 queries of split \"train\" can bring a positive and "
                                                   "another passage that a teacher scored. The others have the objective alone."));
  // Without the objective no negative is needed.
  spec_.mutable_loss()->mutable_distill()->set_only(true);
  spec_.mutable_batch()->set_queries(1);
  EXPECT_THAT(ResolveNotes(), testing::ElementsAre(HasSubstr("The others add nothing to the loss.")));
}

TEST_F(ServerStream, CountsTheDamageOfLabelNoiseAndRefusesWhatTheDataLacks) {
  muster::v1::NoiseSpec& noise = *spec_.mutable_data()->mutable_noise();
  noise.set_hard_negatives(0.5);
  EXPECT_EQ(ResolveError(), "data.noise.hard_negatives: split \"train\" of dataset \"set\" has no hard negatives. Import or "
                            "mine some (docs/guides/mining.md), or use random_passages or other_positives.");
  noise.Clear();
  noise.set_random_passages(1);
  EXPECT_THAT(ResolveNotes(),
              testing::ElementsAre(testing::MatchesRegex("data.noise: of [0-9]+ positives of split \"train\", [0-9]+ are "
                                                         "replaced by random passages.")));
  noise.Clear();
  noise.set_dropped(1);
  EXPECT_THAT(ResolveNotes(), testing::ElementsAre(HasSubstr(" positives of split \"train\", 0 are dropped.")))
      << "each query keeps its only one";
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    absl::StrAppend(&lines, R"({"query": "asked word)", i, R"(", "pos": ["told word)", i, R"("], "neg": [)",
                    i < 6 ? R"("told asked")" : "", "]}\n");
  }
  ASSERT_TRUE(Import(Header("hard"), {{"train.jsonl", lines}}).ok());
  spec_.mutable_data()->set_train("hard");
  spec_.mutable_data()->mutable_negatives()->set_per_query(1);
  noise.Clear();
  noise.set_hard_negatives(1);
  EXPECT_THAT(ResolveNotes(), testing::ElementsAre("data.noise: of 8 positives of split \"train\", 6 are replaced by hard "
                                                   "negatives of their query. 2 more are kept, because no passage that is not "
                                                   "relevant could replace them."));
}

TEST_F(ServerStream, NotesHardNegativesThatAreNotUsed) {
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    absl::StrAppend(&lines, R"({"query": "asked word)", i, R"(", "pos": ["told word)", i, R"("], "neg": ["told asked"]})", "\n");
  }
  ASSERT_TRUE(Import(Header("own"), {{"train.jsonl", lines}}).ok());
  spec_.mutable_data()->set_train("own");
  spec_.mutable_data()->mutable_negatives()->clear_per_query();
  EXPECT_THAT(ResolveNotes(),
              testing::ElementsAre("data.negatives.per_query: is left out, so the 8 hard negatives of split \"train\" are "
                                   "not used. Set it to use them, or to 0 to leave them out."));
  spec_.mutable_data()->mutable_negatives()->set_per_query(0);
  EXPECT_THAT(ResolveNotes(), testing::IsEmpty()) << "left out on purpose";
}

TEST_F(ServerStream, PromptsAreTheModelsUnlessTheJobSetsThem) {
  Files model = SmallModel();
  model.push_back({"config_sentence_transformers.json", R"({"prompts": {"query": "asked ", "passage": "told "}})"});
  const auto pushed = Push("prompted", model);
  ASSERT_TRUE(pushed.ok()) << pushed.status();
  EXPECT_EQ(pushed->prompts().query(), "asked ");
  spec_.mutable_model()->clear_preset();
  spec_.mutable_model()->clear_tokenizer();
  spec_.mutable_model()->set_from("prompted");
  auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->prompts().query(), "asked ");
  EXPECT_EQ(resolved->prompts().passage(), "told ");
  EXPECT_EQ(resolved->architecture(), "bert");
  EXPECT_EQ(resolved->embedding_size(), 4u);
  EXPECT_FALSE(resolved->exclude_prompt());
  EXPECT_THAT(ResolveNotes(), testing::IsSupersetOf({HasSubstr("model.prompts.query: \"asked \", as the model's folder says"),
                                                     HasSubstr("model.prompts.passage: \"told \"")}));
  spec_.mutable_model()->mutable_prompts()->set_query("");
  spec_.mutable_model()->mutable_prompts()->set_passage("word");
  resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_TRUE(resolved->has_prompts());
  EXPECT_EQ(resolved->prompts().query(), "") << "switched off";
  EXPECT_EQ(resolved->prompts().passage(), "word");
  EXPECT_THAT(ResolveNotes(), testing::IsEmpty());
}

TEST_F(ServerStream, SendsEveryStepAndEveryQueryOncePerEpoch) {
  const Streamed streamed = Stream(Request(1));
  ASSERT_TRUE(streamed.status.ok()) << streamed.status;
  ASSERT_EQ(streamed.shares.size(), 6u);
  std::multiset<uint64_t> queries;
  for (size_t step = 0; step < 6; ++step) {
    EXPECT_EQ(streamed.shares[step].step(), step);
    EXPECT_EQ(streamed.shares[step].epoch(), step / 3);
    for (const uint64_t digest : streamed.shares[step].query_digests()) queries.insert(digest);
  }
  EXPECT_EQ(queries.size(), 20u);
  for (const uint64_t digest : queries) EXPECT_EQ(queries.count(digest), 2u);
}

TEST_F(ServerStream, ContinuesFromAnyStepWithTheSameBytes) {
  const Streamed whole = Stream(Request(1, 1, 2)), rest = Stream(Request(1, 1, 2, 4));
  ASSERT_EQ(rest.shares.size(), 2u);
  EXPECT_EQ(DeterministicBytes(rest.shares[0]), DeterministicBytes(whole.shares[4]));
  EXPECT_EQ(Stream(Request(1, 1, 2, 6)).shares.size(), 0u);
}

TEST_F(ServerStream, SendsWhatTheRanksProtocolReads) {
  internal::v1::StreamRequest request = Request(1, 1, 2);
  const Streamed former = Stream(request);
  request.mutable_identity()->set_protocol(kProtocol);
  const Streamed compact = Stream(request);
  ASSERT_EQ(former.shares.size(), 6u);
  ASSERT_EQ(compact.shares.size(), 6u);
  for (size_t step = 0; step < 6; ++step) {
    const internal::v1::StepShare &old = former.shares[step], &now = compact.shares[step];
    EXPECT_EQ(old.rank_counts_size(), 2);
    EXPECT_EQ(old.gather_slots_size(), static_cast<int>(old.query_count() + old.passage_count()));
    EXPECT_EQ(now.rank_counts_size() + now.gather_slots_size(), 0) << "the ranks exchange them";
    ASSERT_EQ(old.micro_batches_size(), now.micro_batches_size());
    for (int i = 0; i < old.micro_batches_size(); ++i) {
      EXPECT_EQ(old.micro_batches(i).tokens().size(), 2 * now.micro_batches(i).narrow_tokens().size());
      EXPECT_EQ(old.micro_batches(i).narrow_tokens() + now.micro_batches(i).tokens(), "");
    }
  }
}

TEST_F(ServerStream, RefusesAStaleAttempt) {
  ASSERT_TRUE(Stream(Request(2)).status.ok());
  const Streamed stale = Stream(Request(1));
  EXPECT_EQ(stale.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(stale.status), "STALE_ATTEMPT");
  EXPECT_TRUE(stale.shares.empty());
}

TEST_F(ServerStream, ANewAttemptEndsTheStreamsOfTheOld) {
  spec_.mutable_duration()->set_steps(10000000);
  grpc::ClientContext call;
  const auto request = Request(1);
  const auto stub = internal::v1::DataPlaneService::NewStub(WorkerFor(request));
  const auto reader = stub->Stream(&call, request);
  internal::v1::StepShare share;
  ASSERT_TRUE(reader->Read(&share));
  grpc::ClientContext newer;
  const auto newer_request = Request(2);
  const auto newer_stub = internal::v1::DataPlaneService::NewStub(WorkerFor(newer_request));
  const auto next = newer_stub->Stream(&newer, newer_request);
  ASSERT_TRUE(next->Read(&share));
  newer.TryCancel();
  while (next->Read(&share)) {
  }
  EXPECT_EQ(next->Finish().error_code(), grpc::StatusCode::CANCELLED);
  while (reader->Read(&share)) {
  }
  EXPECT_EQ(ReasonOf(FromGrpc(reader->Finish())), "STALE_ATTEMPT");
}

TEST_F(ServerStream, AServerThatGoesDownEndsStreamsAsUnavailable) {
  spec_.mutable_duration()->set_steps(10000000);
  grpc::ClientContext call;
  const auto request = Request(1);
  const auto stub = internal::v1::DataPlaneService::NewStub(WorkerFor(request));
  const auto reader = stub->Stream(&call, request);
  internal::v1::StepShare share;
  ASSERT_TRUE(reader->Read(&share));
  std::thread stop([&] { server_->Shutdown(absl::Seconds(30)); });
  while (reader->Read(&share)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stop.join();
}

TEST_F(ServerStream, ManyRanksAtOnceSeeOnePlan) {
  constexpr uint32_t kRanks = 8;
  std::vector<Streamed> streamed(kRanks);
  const internal::v1::StreamRequest request = Request(1, 0, kRanks);
  std::vector<std::thread> threads;
  for (uint32_t rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      internal::v1::StreamRequest own = request;
      own.mutable_identity()->set_rank(rank);
      streamed[rank] = Stream(own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Streamed& rank : streamed) {
    ASSERT_TRUE(rank.status.ok()) << rank.status;
    ASSERT_EQ(rank.shares.size(), 6u);
    for (size_t step = 0; step < 6; ++step) {
      EXPECT_EQ(rank.shares[step].plan_digest(), streamed[0].shares[step].plan_digest());
    }
  }
}

TEST_F(ServerStream, StreamsTheWholeSharedSet) {
  const auto source = std::filesystem::path(MUSTER_SOURCE_DIR) / "../shared/data/banking77-intent";
  const auto vocabulary = std::filesystem::path(MUSTER_SOURCE_DIR) / "../shared/data/bert-vocab/vocab.txt";
  if (!std::filesystem::exists(source)) GTEST_SKIP() << "left out: " << source << " does not exist";
  Files files;
  for (const char* path : {"corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/dev.tsv", "qrels/test.tsv"}) {
    const std::string content = ReadFile(source / path).value();
    files.push_back({path, content.substr(0, 1 << 20)});
    for (size_t at = 1 << 20; at < content.size(); at += 1 << 20) files.push_back({"", content.substr(at, 1 << 20)});
  }
  ASSERT_TRUE(Import(Header("banking"), files).ok());
  ASSERT_TRUE(Push("bert", {{"vocab.txt", ReadFile(vocabulary).value()}}).ok());
  spec_.mutable_data()->set_train("banking");
  spec_.mutable_report()->set_dataset("banking");
  spec_.mutable_model()->set_tokenizer("bert");
  spec_.mutable_batch()->set_queries(32);
  const auto request = Request(1);
  EXPECT_EQ(request.resolved().train_queries(), 7715u);
  EXPECT_EQ(request.resolved().steps_per_epoch(), 242u);
  const absl::Time start = RealClock().Now();
  const Streamed streamed = Stream(request);
  ASSERT_TRUE(streamed.status.ok()) << streamed.status;
  EXPECT_EQ(streamed.shares.size(), 484u);
  std::map<uint64_t, int> visits;
  for (const internal::v1::StepShare& share : streamed.shares) {
    for (const uint64_t digest : share.query_digests()) ++visits[digest];
  }
  EXPECT_EQ(visits.size(), 7715u);
  for (const auto& [digest, count] : visits) ASSERT_EQ(count, 2) << digest;
  std::cout << "484 steps of 32 queries in " << RealClock().Now() - start << ", token store built\n";
}

TEST_F(ServerStream, IsForWorkers) {
  grpc::ClientContext call;
  const auto reader = internal::v1::DataPlaneService::NewStub(operator_)->Stream(&call, Request(1));
  internal::v1::StepShare share;
  EXPECT_FALSE(reader->Read(&share));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(ServerStream, SendsAnEvaluation) {
  internal::v1::StreamEvaluationRequest request;
  *request.mutable_identity() = Request(1).identity();
  *request.mutable_spec() = spec_;
  *request.mutable_resolved() = Resolve().value();
  request.set_dataset(request.resolved().report_dataset());
  request.set_split("dev");
  grpc::ClientContext call;
  const auto stub =
      internal::v1::DataPlaneService::NewStub(WorkerWith(TicketOf(request.identity(), request.resolved())));
  const auto reader = stub->StreamEvaluation(&call, request);
  internal::v1::StreamEvaluationResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.header().query_count(), 1u);
  EXPECT_EQ(response.header().document_count(), 10u);
  int sequences = 0;
  while (reader->Read(&response)) sequences += response.micro_batch().lengths_size();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(sequences, 11);
}

TEST_F(DataServerTest, ABlobThatTheDiskDamagedIsFoundSetAsideAndCanBePutAgain) {
  BlobClient blobs(operator_);
  const std::string text(3 << 20, 'x');
  const std::string digest = blobs.PutBytes(text).value();
  const std::filesystem::path path = root_ / "state/blobs" / digest.substr(0, 2) / digest;
  std::string damaged = text;
  damaged[1 << 20] = 'y';
  ASSERT_TRUE(WriteFileAtomically(path, damaged).ok());
  const absl::Status first = blobs.GetBytes(digest).status();
  EXPECT_EQ(first.code(), absl::StatusCode::kDataLoss) << first;
  EXPECT_THAT(std::string(first.message()), HasSubstr("on the data server's disk are damaged"));
  EXPECT_EQ(ReasonOf(blobs.GetBytes(digest).status()), "BLOB_NOT_FOUND");
  EXPECT_EQ(blobs.PutBytes(text).value(), digest);
  EXPECT_EQ(blobs.GetBytes(digest).value(), text) << "put again, not believed to be there";
}

}  // namespace
}  // namespace muster
