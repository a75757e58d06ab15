#include "worker/rank/train/trainer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>

#include "common/files.h"
#include "common/sample_ledger.h"
#include "common/status.h"
#include "worker/rank/train/testing/trained_step.h"
#include "worker/rank/train/text_of.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the specification's messages and values
using testing::HasSubstr;

// In-process ranks share the machine's cores: one thread each.
[[maybe_unused]] const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

TrainerOptions Options(Objective objective, double dropout, uint64_t keep) {
  TrainerOptions options = ProblemOptions(objective, dropout);
  options.keep_activations = keep;
  return options;
}

TEST(Trainer, ABatchWithoutAValidRowMovesNothingButTheMoments) {
  Problem problem = MakeProblem(4, false);
  for (auto& positives : problem.positives) positives.clear();
  for (const StepGradients& outcome : TrainedStep(problem, {.world_size = 2}, Options(OBJECTIVE_LSEPAIR, 0, 0))) {
    EXPECT_EQ(outcome.loss, 0);
    for (const at::Tensor& gradient : outcome.gradients) EXPECT_EQ(gradient.abs().max().item<float>(), 0);
  }
}

TEST(Trainer, StepsLowerTheLossAndLeaveEqualWeightsOnAllRanks) {
  const Problem problem = MakeProblem(5, false);
  std::vector<std::vector<at::Tensor>> weights(3);
  const auto statuses = RunInProcessRanks(3, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 60000));
    const auto batch = BatchFromShare(ShareOf(problem, group.rank(), 3, 40), ProblemConfig(), at::kCPU);
    double first = 0, last = 0;
    for (int step = 0; step < 8; ++step) {
      const auto report = trainer.Step(*batch, step == 7 && group.rank() == 1 ? StopRequest::kSave : StopRequest::kNone);
      if (!report.ok()) return report.status();
      if (step == 0) first = report->loss;
      last = report->loss;
      EXPECT_EQ(report->stop == StopRequest::kSave, step == 7) << "one rank's wish to stop is every rank's";
      EXPECT_EQ(report->valid_rows, 6);
      EXPECT_GT(report->gradient_norm, 0);
    }
    EXPECT_LT(last, 0.9 * first);
    for (const Parameter& parameter : (*encoder)->parameters()) {
      weights[group.rank()].push_back(parameter.value.detach());
    }
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) ASSERT_TRUE(status.ok()) << status;
  for (size_t i = 0; i < weights[0].size(); ++i) {
    EXPECT_TRUE(at::equal(weights[0][i], weights[1][i]) && at::equal(weights[0][i], weights[2][i]));
  }
}

// Runs a step on two ranks after `spoil` has changed their encoders. Expects the same error on both.
std::string ErrorOfStep(const Problem& problem, const std::function<void(Encoder&)>& spoil, double temperature = 0.2,
                        bool normalize = true) {
  EncoderConfig config = ProblemConfig();
  config.normalize = normalize;
  std::string text;
  for (const absl::Status& status : RunInProcessRanks(2, [&](Group& group) -> absl::Status {
         auto encoder = Encoder::Random(config, kWeightSeed);
         at::NoGradGuard no_gradient;
         spoil(**encoder);
         TrainerOptions options = Options(OBJECTIVE_JOINTLH, 0, 0);
         options.loss.set_temperature(static_cast<float>(temperature));
         Trainer trainer(**encoder, group, RealClock(), options);
         const auto batch = BatchFromShare(ShareOf(problem, group.rank(), 2, 40), config, at::kCPU);
         return trainer.Step(*batch).status();
       })) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    if (text.empty()) text = std::string(status.message());
    EXPECT_EQ(status.message(), text) << "alike on all ranks";
  }
  return text;
}

// Only the text of one slot has this token.
constexpr uint32_t kRare = 49;
Problem WithRareToken(uint32_t slot) {
  Problem problem = MakeProblem(6, false);
  for (auto& ids : problem.tokens) std::replace(ids.begin(), ids.end(), kRare, kRare - 1);
  problem.tokens[slot] = {7, kRare, 8};
  return problem;
}

void SpoilRareToken(Encoder& encoder) {
  encoder.parameters()[0].value[kRare].fill_(std::numeric_limits<float>::quiet_NaN());
}

TEST(Trainer, TheTextWhoseEmbeddingIsNotFiniteIsNamedOnAllRanksAlike) {
  EXPECT_THAT(ErrorOfStep(WithRareToken(7 + 5), SpoilRareToken),
              HasSubstr("step 3: the embedding of passage 5 of the batch, which begins token ids 7 49 8, is not finite (1 "
                        "of 24 are not)."));
  EXPECT_THAT(ErrorOfStep(WithRareToken(4), SpoilRareToken),
              HasSubstr("step 3: the embedding of query 4 of the batch (query digest 00000000000003ec), which begins token "
                        "ids 7 49 8, is not finite"));
}

TEST(Trainer, WeightsThatAreNotFiniteAreBlamedOnNoText) {
  const auto spoil = [](Encoder& encoder) {
    encoder.parameters()[0].value.fill_(std::numeric_limits<float>::quiet_NaN());
  };
  EXPECT_THAT(ErrorOfStep(MakeProblem(6, false), spoil), HasSubstr("step 3: no embedding of the batch is finite"));
}

TEST(Trainer, ScoresThatOverflowAreNamedAsThat) {
  const auto lengthen = [](Encoder& encoder) {
    for (Parameter& parameter : encoder.parameters()) {
      if (parameter.name == "encoder.layer.1.output.LayerNorm.weight") parameter.value.mul_(1e19);
    }
  };
  EXPECT_THAT(ErrorOfStep(MakeProblem(6, false), lengthen, 1e-4, /*normalize=*/false),
              HasSubstr("may not be finite: its length times the longest passage's"));
}

// The weights after some steps on 2 ranks.
std::vector<Parameter> WeightsAfterSteps(const EncoderConfig& config, const TrainerOptions& options,
                                         int64_t* gradient_numbers = nullptr) {
  std::vector<Parameter> weights;
  const auto statuses = RunInProcessRanks(2, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(config, kWeightSeed);
    if (!encoder.ok()) return encoder.status();
    Trainer trainer(**encoder, group, RealClock(), options);
    for (uint64_t step = 0; step < 4; ++step) {
      Problem problem = MakeProblem(step, false);
      problem.step = step;
      const auto batch = BatchFromShare(ShareOf(problem, group.rank(), 2, 40), config, at::kCPU);
      if (const auto report = trainer.Step(*batch); !report.ok()) return report.status();
    }
    if (group.rank() != 0) return absl::OkStatus();
    weights = (*encoder)->Merged()->parameters();
    if (gradient_numbers == nullptr) return absl::OkStatus();
    for (const at::Tensor& gradient : trainer.gradients()) *gradient_numbers += gradient.numel();
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  return weights;
}

// A frozen part does not change, and does not affect the training of the other parts. It has no gradient, and so no
// share of the reduction.
TEST(Trainer, AFrozenPartIsOneWhoseRateIsZeroToTheBitAndHasNoGradients) {
  EncoderConfig frozen = ProblemConfig();
  frozen.frozen = {"embeddings", "layers.0"};
  TrainerOptions options = Options(OBJECTIVE_JOINTLH, 0.1, 60000);
  options.optimizer.set_max_grad_norm(0);  // the norm counts the gradients of all that is trained
  int64_t reduced = 0, all = 0;
  const std::vector<Parameter> of_frozen = WeightsAfterSteps(frozen, options, &reduced);
  options.optimizer.mutable_learning_rates()->set_embeddings(0);
  const std::vector<Parameter> of_rates = WeightsAfterSteps(ProblemConfig(), options, &all);
  const auto before = Encoder::Random(ProblemConfig(), kWeightSeed).value();
  int64_t frozen_numbers = 0;
  ASSERT_EQ(of_frozen.size(), before->parameters().size());
  for (size_t i = 0; i < of_frozen.size(); ++i) {
    const Parameter& first = before->parameters()[i];
    ASSERT_EQ(of_frozen[i].name, first.name) << "in the order of the whole model";
    const bool embeds = first.name.starts_with("embeddings."), is_frozen = embeds || first.name.starts_with("encoder.layer.0.");
    if (is_frozen) frozen_numbers += first.value.numel();
    if (first.name.ends_with("key.bias")) continue;  // their gradients are 0 up to rounding
    EXPECT_EQ(at::equal(of_frozen[i].value, first.value), is_frozen) << first.name;
    EXPECT_EQ(at::equal(of_rates[i].value, first.value), embeds) << first.name;
  }
  EXPECT_EQ(reduced, all - frozen_numbers);
  frozen.frozen = {"embeddings"};
  options.optimizer.clear_learning_rates();
  const std::vector<Parameter> of_embeddings = WeightsAfterSteps(frozen, options);
  for (size_t i = 0; i < of_rates.size(); ++i) {
    EXPECT_TRUE(at::equal(of_embeddings[i].value, of_rates[i].value)) << of_rates[i].name;
  }
}

TEST(TrainerOptions, EachKindOfDropoutIsItsOwnFieldsElseTheCommonOnesElseTheModels) {
  EncoderConfig config;
  config.hidden_dropout = 0.25;
  config.attention_dropout = 0.125;
  muster::v1::JobSpec spec;
  spec.mutable_batch()->set_micro_batch_tokens(256);
  spec.mutable_batch()->set_keep_activations(0);
  const auto expect = [&](double hidden, double attention, AttentionKeys keys) {
    const TrainerOptions options = TrainerOptionsFrom(spec, config, 1).value();
    EXPECT_EQ(options.hidden_dropout, hidden);
    EXPECT_EQ(options.attention_dropout, attention);
    EXPECT_EQ(options.attention_keys, keys);
  };
  expect(0.25, 0.125, AttentionKeys::kSequence);
  spec.mutable_model()->set_dropout(0.5f);
  expect(0.5, 0.5, AttentionKeys::kSequence);
  spec.mutable_model()->set_attention_dropout(0);
  spec.mutable_model()->set_attention_dropout_keys(muster::v1::ATTENTION_DROPOUT_KEYS_LAUNCH);
  expect(0.5, 0, AttentionKeys::kLaunch);
  spec.mutable_model()->clear_dropout();
  spec.mutable_model()->set_hidden_dropout(0.75f);
  expect(0.75, 0, AttentionKeys::kLaunch);
}

TEST(TrainerOptions, ASpecificationWhoseDeviceWasNeverDecidedIsRefusedByField) {
  muster::v1::JobSpec spec;
  EXPECT_THAT(std::string(TrainerOptionsFrom(spec, {}, 1).status().message()), HasSubstr("no batch.micro_batch_tokens"));
  spec.mutable_batch()->set_micro_batch_tokens(256);
  EXPECT_EQ(TrainerOptionsFrom(spec, {}, 1).status().message(),
            "the specification has no batch.keep_activations, whose default depends on the device. Set it, or set "
            "resources.device to cpu or gpu");
  spec.mutable_batch()->set_keep_activations(0);  // an explicit 0: keep no graph
  EXPECT_TRUE(TrainerOptionsFrom(spec, {}, 1).ok());
}

TEST(BeginningOf, JoinsWordPiecesOfTheVocabularyAndCutsLongTexts) {
  const auto folder = *MakeScratchFolder(testing::TempDir(), "vocabulary");
  ASSERT_TRUE(WriteFileAtomically(folder / "vocab.txt", "[CLS]\nred\nfi\n##sh\r\n").ok());
  const std::vector<int64_t> ids = {0, 1, 2, 3, 77};
  EXPECT_EQ(BeginningOf(ids, folder), "\"[CLS] red fish ?\"");
  EXPECT_EQ(BeginningOf(std::vector<int64_t>(40, 1), folder).substr(49), "red red red red ...\"");
  EXPECT_EQ(BeginningOf(ids, folder / "none"), "token ids 0 1 2 3 77");
  std::filesystem::remove_all(folder);
}

TEST(GraphsToKeep, AGraphThatIsTooLargeLeavesItsSpaceToLaterOnes) {
  const std::vector<uint64_t> bytes = {40, 90, 50, 20, 10};
  EXPECT_EQ(GraphsToKeep(bytes, 100), (std::vector<bool>{true, false, true, false, true}));
  EXPECT_EQ(GraphsToKeep(bytes, 0), (std::vector<bool>{false, false, false, false, false}));
  EXPECT_EQ(GraphsToKeep(bytes, UINT64_MAX), (std::vector<bool>{true, true, true, true, true}));
}

// Two data servers of different versions may assign one plan differently: sequences would have two embeddings, or none.
TEST(Trainer, RefusesRanksToWhichAPlanIsAssignedDifferently) {
  const Problem problem = MakeProblem(7, false);
  const auto statuses = RunInProcessRanks(2, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
    // The data server of rank 0 assigns the plan as if there were three ranks.
    const auto share = ShareOf(problem, group.rank(), group.rank() == 0 ? 3 : 2, 40);
    return trainer.Step(*BatchFromShare(share, ProblemConfig(), at::kCPU)).status();
  });
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(ReasonOf(status), kRanksDisagree) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("assigned to the ranks differently"));
  }
}

TEST(Trainer, RefusesRanksWithDifferentPlans) {
  const Problem problem = MakeProblem(7, false);
  const auto statuses = RunInProcessRanks(2, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
    auto share = ShareOf(problem, group.rank(), 2, 40);
    share.set_plan_digest(group.rank());
    return trainer.Step(*BatchFromShare(share, ProblemConfig(), at::kCPU)).status();
  });
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(ReasonOf(status), kRanksDisagree);
  }
}

// The figures of the whole batch: equal bits on all ranks of a world, and equal but for rounding in all worlds.
TEST(Trainer, ReportsHowTheGradientIsSharedAlikeOnAnyNumberOfRanks) {
  for (const Objective objective : {OBJECTIVE_JOINTLH, OBJECTIVE_JOINTLH_SUM, OBJECTIVE_SUMMARGLH, OBJECTIVE_LSEPAIR,
                                    OBJECTIVE_MEAN1LH}) {
    Problem problem = MakeProblem(9, false);
    problem.noisy = true;
    std::vector<double> shares_of_one;
    double noise_of_one = 0, largest = 0;
    for (const int64_t world_size : {1, 2, 3, 4, 8}) {
      std::vector<StepReport> reports(world_size);
      const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
        auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
        TrainerOptions options = Options(objective, 0.1, 0);
        options.label_noise = true;
        Trainer trainer(**encoder, group, RealClock(), options);
        const auto batch = BatchFromShare(ShareOf(problem, group.rank(), world_size, 40), ProblemConfig(), at::kCPU);
        if (!batch.ok()) return batch.status();
        const auto report = trainer.Differentiate(*batch);
        if (!report.ok()) return report.status();
        reports[group.rank()] = *report;
        return absl::OkStatus();
      });
      for (const absl::Status& status : statuses) ASSERT_TRUE(status.ok()) << status;
      for (const StepReport& report : reports) {
        EXPECT_EQ(report.positive_weights, reports[0].positive_weights);
        EXPECT_EQ(report.noise_weight, reports[0].noise_weight);
      }
      ASSERT_TRUE(reports[0].noise_weight.has_value());
      const std::vector<double>& shares = reports[0].positive_weights;
      if (world_size == 1) {
        shares_of_one = shares;
        noise_of_one = *reports[0].noise_weight;
        EXPECT_GT(noise_of_one, 0);
        EXPECT_LT(noise_of_one, 1);
        double sum = 0;
        for (const double share : shares) sum += share;
        EXPECT_NEAR(sum, 1, 1e-12) << "no query has more than 8 positives";
      }
      ASSERT_EQ(shares.size(), shares_of_one.size());
      for (size_t i = 0; i < shares.size(); ++i) largest = std::max(largest, std::abs(shares[i] - shares_of_one[i]));
      largest = std::max(largest, std::abs(*reports[0].noise_weight - noise_of_one));
    }
    std::printf("%s, seed 9: largest difference of a share %.1e\n", Objective_Name(objective).c_str(), largest);
    EXPECT_LE(largest, 1e-5);
  }
}

TEST(Trainer, AShareOfADataServerThatDoesNotKnowNoiseIsRefusedIfTheJobHasIt) {
  const auto statuses = RunInProcessRanks(1, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    TrainerOptions options = Options(OBJECTIVE_JOINTLH, 0, 0);
    options.label_noise = true;
    Trainer trainer(**encoder, group, RealClock(), options);
    return trainer.Step(*BatchFromShare(ShareOf(MakeProblem(9, false), 0, 1, 40), ProblemConfig(), at::kCPU)).status();
  });
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(statuses[0].message()), HasSubstr("the data server does not know data.noise"));
}

TEST(Trainer, WithoutNoiseNoShareOfItIsReported) {
  const auto statuses = RunInProcessRanks(1, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
    const auto report = trainer.Step(*BatchFromShare(ShareOf(MakeProblem(9, false), 0, 1, 40), ProblemConfig(), at::kCPU));
    if (!report.ok()) return report.status();
    EXPECT_EQ(report->noise_weight, std::nullopt);
    EXPECT_FALSE(report->positive_weights.empty());
    return absl::OkStatus();
  });
  EXPECT_TRUE(statuses[0].ok()) << statuses[0];
}

TEST(Trainer, ReportsAppliedRowsGatheredBytesAndTheSkewOfThePreviousStep) {
  const Problem problem = MakeProblem(8, false);
  QuerySum expected;
  for (int64_t q = 0; q < problem.queries; ++q) expected.Add(1000 + static_cast<uint64_t>(q));
  for (const int64_t world_size : {1, 3}) {
    const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
      auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
      Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
      const auto batch = BatchFromShare(ShareOf(problem, group.rank(), world_size, 40), ProblemConfig(), at::kCPU);
      for (int step = 0; step < 2; ++step) {
        const auto report = trainer.Step(*batch);
        if (!report.ok()) return report.status();
        EXPECT_EQ(report->applied, expected);
        EXPECT_EQ(report->gathered_bytes, (problem.queries + problem.passages) * ProblemConfig().hidden_size * 4);
        EXPECT_EQ(report->rank_skew_seconds > 0, step == 1 && world_size > 1);
      }
      return absl::OkStatus();
    });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  }
}

}  // namespace
}  // namespace muster
