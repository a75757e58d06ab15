// The step: loss and every parameter's gradient equal those of one process in float64, on any number of
// ranks, however micro-batches are cut, and whether graphs are kept or replayed.
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "worker/rank/model/testing/family_configs.h"
#include "worker/rank/train/testing/trained_step.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the objectives

constexpr double kFloatRelative = 1e-5, kFloatAbsolute = 1e-6;  // absolute for key biases, whose gradient is 0
constexpr int64_t kWorldSizes[] = {1, 2, 3, 4, 8};
const std::vector<size_t> kAllCuts = {1, 40, 1000};  // tokens of a micro-batch: one sequence each, a few, all
const std::vector<size_t> kOneCut = {40};
constexpr Keep kKeeps[] = {Keep::kNone, Keep::kHalf, Keep::kAll};

// In-process ranks share the machine's cores: one thread each.
[[maybe_unused]] const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

StepGradients Reference(const Problem& problem, const TrainerOptions& options) {
  const auto single = Encoder::Random(ProblemConfig(), kWeightSeed).value();
  const auto encoder = DoubleEncoder(*single).value();
  return ReferenceStep(*encoder, problem, options.loss,
                       {options.hidden_dropout, options.attention_dropout, options.seed, problem.step})
      .value();
}

void ExpectEqualBits(const StepGradients& a, const StepGradients& b, const char* what) {
  EXPECT_EQ(a.loss, b.loss) << what;
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    EXPECT_TRUE(at::equal(a.gradients[i], b.gradients[i])) << what << " in tensor " << i;
  }
}

// Compares one problem at all world sizes with the reference. All ranks hold equal bits, whether graphs are kept or replayed.
StepDifference LargestOver(const std::vector<size_t>& cuts, const Problem& problem, const TrainerOptions& options) {
  const auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed).value();
  const StepGradients reference = Reference(problem, options);
  StepDifference largest;
  for (const int64_t world_size : kWorldSizes) {
    for (const size_t micro_tokens : cuts) {
      std::vector<StepGradients> replayed;
      for (const Keep keep : kKeeps) {
        const auto outcomes = TrainedStep(problem, {world_size, micro_tokens, keep}, options);
        if (testing::Test::HasFailure()) return largest;
        for (const StepGradients& other : outcomes) ExpectEqualBits(other, outcomes[0], "ranks differ");
        if (keep == Keep::kNone) replayed = outcomes;
        ExpectEqualBits(outcomes[0], replayed[0], "kept and replayed differ");
        const StepDifference own = DifferenceOf(encoder->parameters(), outcomes[0], reference);
        EXPECT_LE(own.relative, kFloatRelative) << own.worst << ", " << world_size << " ranks, micro-batches of "
                                                << micro_tokens << " tokens, " << KeepName(keep);
        EXPECT_LE(own.absolute, kFloatAbsolute);
        if (own.relative > largest.relative) largest.relative = own.relative, largest.worst = own.worst;
        largest.absolute = std::max(largest.absolute, own.absolute);
      }
    }
  }
  return largest;
}

void ExpectTheLaw(const char* name, const Problem& problem, const TrainerOptions& options,
                  const std::vector<size_t>& cuts) {
  const StepDifference largest = LargestOver(cuts, problem, options);
  std::printf("%-22s %-22s dropout %.1f: largest difference %.1e (%s), of key biases %.1e absolute\n", name,
              Objective_Name(options.loss.objective()).c_str(), options.hidden_dropout, largest.relative,
              largest.worst.c_str(), largest.absolute);
}

void ExpectTheLaw(const char* name, const Problem& problem, Objective objective, double dropout,
                  const std::vector<size_t>& cuts) {
  ExpectTheLaw(name, problem, ProblemOptions(objective, dropout), cuts);
}

class GradientLaw : public testing::TestWithParam<Objective> {
 protected:
  static bool OnePositive() { return GetParam() == OBJECTIVE_RAND1LH; }
};

// 7 queries, of which one has no positive, 17 passages, 0 to 4 positives per row, weights, grades.
TEST_P(GradientLaw, HoldsForRaggedWeighedGradedRows) {
  Problem problem = MakeProblem(1, OnePositive());
  problem.graded = !OnePositive();
  ExpectTheLaw("ragged, seed 1", problem, GetParam(), 0, kOneCut);
  ExpectTheLaw("ragged, seed 1", problem, GetParam(), 0.1, kAllCuts);
}

TEST_P(GradientLaw, HoldsForAnotherDrawWithoutGrades) {
  ExpectTheLaw("no grades, seed 2", MakeProblem(2, OnePositive()), GetParam(), 0.1, kOneCut);
}

// The last batch of an epoch: 3 queries, one without a positive, so that with 4 and 8 ranks some hold no row.
TEST_P(GradientLaw, HoldsForASmallerLastBatch) {
  const Problem problem = MakeProblem(3, OnePositive(), /*queries=*/3, /*passages=*/6);
  ExpectTheLaw("last batch, seed 3", problem, GetParam(), 0.1, kOneCut);
}

// Embeddings of 32 numbers, cut to 5 and 16: each cut is normalized again, and has its own weight.
TEST_P(GradientLaw, HoldsForMatryoshkaSizes) {
  Problem problem = MakeProblem(5, OnePositive());
  problem.graded = !OnePositive();
  TrainerOptions options = ProblemOptions(GetParam(), 0.1);
  for (const auto& [size, weight] : {std::pair(5u, 0.5f), std::pair(32u, 1.0f), std::pair(16u, 2.0f)}) {
    options.loss.add_matryoshka_dimensions(size);
    options.loss.add_matryoshka_weights(weight);
  }
  ExpectTheLaw("matryoshka, seed 5", problem, options, kOneCut);
}

// Rounding may decide about a passage near the limit: here none is.
TEST_P(GradientLaw, HoldsWhereFalseNegativesAreIgnored) {
  Problem problem = MakeProblem(6, OnePositive());
  problem.graded = !OnePositive();
  TrainerOptions options = ProblemOptions(GetParam(), 0.1);
  const double all = Reference(problem, options).loss;
  options.loss.mutable_false_negatives()->set_margin(0.1f);
  EXPECT_GT(std::abs(Reference(problem, options).loss - all), 1e-3) << "none is ignored";
  ExpectTheLaw("false negatives, seed 6", problem, options, kOneCut);
}

INSTANTIATE_TEST_SUITE_P(Objectives, GradientLaw,
                         testing::Values(OBJECTIVE_JOINTLH, OBJECTIVE_JOINTLH_SUM, OBJECTIVE_RAND1LH,
                                         OBJECTIVE_SUMMARGLH, OBJECTIVE_LSEPAIR, OBJECTIVE_MEAN1LH),
                         [](const auto& info) { return Objective_Name(info.param); });

// With each objective, without an objective, and with cut embeddings.
TEST(GradientLawCorner, HoldsForDistillation) {
  for (const DistillKind kind : {DISTILL_KIND_KL, DISTILL_KIND_MARGIN_MSE}) {
    for (const auto& [objective, only, cut] : {std::tuple(OBJECTIVE_JOINTLH, false, false), {OBJECTIVE_LSEPAIR, false, true},
                                               {OBJECTIVE_RAND1LH, false, false}, {OBJECTIVE_JOINTLH, true, false},
                                               {OBJECTIVE_JOINTLH, true, true}}) {
      Problem problem = MakeProblem(7, objective == OBJECTIVE_RAND1LH);
      AddTeacher(problem, 8);
      TrainerOptions options = ProblemOptions(objective, 0.1);
      DistillSpec& distill = *options.loss.mutable_distill();
      distill.set_kind(kind);
      distill.set_weight(0.5);
      distill.set_temperature(1.5);
      distill.set_only(only);
      for (const uint32_t size : cut ? std::vector<uint32_t>{16, 32} : std::vector<uint32_t>()) {
        options.loss.add_matryoshka_dimensions(size);
      }
      ExpectTheLaw(absl::StrCat(DistillKind_Name(kind), only ? ", alone" : "", cut ? ", cut" : "").c_str(), problem, options,
                   kOneCut);
    }
  }
}

TEST(GradientLawCorner, AShareWithoutATeacherIsRefusedIfTheJobDistills) {
  TrainerOptions options = ProblemOptions(OBJECTIVE_JOINTLH, 0);
  options.loss.mutable_distill()->set_kind(DISTILL_KIND_KL);
  const auto statuses = RunInProcessRanks(1, [&](Group& group) -> absl::Status {
    const auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed).value();
    const auto batch = BatchFromShare(ShareOf(MakeProblem(1, false), 0, 1, 40), ProblemConfig(), at::kCPU);
    if (!batch.ok()) return batch.status();
    return Trainer(*encoder, group, RealClock(), options).Differentiate(*batch).status();
  });
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(statuses[0].message().find("Upgrade the data server"), absl::string_view::npos) << statuses[0];
}

// 5 sequences on 8 ranks: three encode nothing, and hold the same gradient.
TEST(GradientLawCorner, RanksWithoutASequenceHoldTheSameGradient) {
  const Problem problem = MakeProblem(4, false, /*queries=*/1, /*passages=*/4);
  const TrainerOptions options = ProblemOptions(OBJECTIVE_JOINTLH, 0.1);
  std::vector<StepGradients> outcomes(8);
  const auto statuses = RunInProcessRanks(8, [&](Group& group) -> absl::Status {
    const auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed).value();
    const auto batch = BatchFromShare(ShareOf(problem, group.rank(), 8, 40), ProblemConfig(), at::kCPU);
    if (!batch.ok()) return batch.status();
    EXPECT_EQ(batch->tokens == 0, group.rank() >= 5);
    Trainer trainer(*encoder, group, RealClock(), options);
    const auto report = trainer.Differentiate(*batch);
    if (!report.ok()) return report.status();
    outcomes[group.rank()] = {report->loss, trainer.gradients()};
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) ASSERT_TRUE(status.ok()) << status;
  for (const StepGradients& other : outcomes) ExpectEqualBits(other, outcomes[0], "ranks differ");
  const auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed).value();
  const StepDifference difference = DifferenceOf(encoder->parameters(), outcomes[7], Reference(problem, options));
  std::printf("5 sequences on 8 ranks, seed 4: largest difference %.1e (%s)\n", difference.relative,
              difference.worst.c_str());
  EXPECT_LE(difference.relative, kFloatRelative) << difference.worst;
}

class FamilyGradientLaw : public testing::TestWithParam<std::string> {};

// With dropout everywhere: one step on 1 and 3 ranks, half of the graphs kept.
void ExpectTheLawOf(EncoderConfig config) {
  const Problem problem = MakeProblem(5, false);
  const TrainerOptions options = ProblemOptions(OBJECTIVE_JOINTLH, 0.1);
  config.dense = {{.folder = "2_Dense", .in = config.hidden_size, .out = 12}};
  const auto single = Encoder::Random(config, kWeightSeed).value();
  const auto exact = DoubleEncoder(*single).value();
  const StepGradients reference =
      ReferenceStep(*exact, problem, options.loss,
                    {options.hidden_dropout, options.attention_dropout, options.seed, problem.step})
          .value();
  for (const int64_t world_size : {1, 3}) {
    const auto outcomes = TrainedStep(problem, {world_size, 40, Keep::kHalf}, options, {}, config);
    if (testing::Test::HasFailure()) return;
    for (const StepGradients& other : outcomes) ExpectEqualBits(other, outcomes[0], "ranks differ");
    const StepDifference own = DifferenceOf(single->parameters(), outcomes[0], reference);
    std::printf("%s on %d ranks: largest difference %.1e (%s)\n", config.architecture.c_str(),
                static_cast<int>(world_size), own.relative, own.worst.c_str());
    EXPECT_LE(own.relative, kFloatRelative) << own.worst << " on " << world_size << " ranks";
    EXPECT_LE(own.absolute, kFloatAbsolute);
  }
}

TEST_P(FamilyGradientLaw, HoldsOnAnyNumberOfRanks) {
  ExpectTheLawOf(WithFamily(ProblemConfig(), GetParam()));
}

TEST_P(FamilyGradientLaw, HoldsForAdapters) {
  EncoderConfig config = WithFamily(ProblemConfig(), GetParam());
  config.lora = {.rank = 4, .alpha = 8, .seed = 3};
  ExpectTheLawOf(config);
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyGradientLaw, testing::ValuesIn(FamilyNames()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// The comparison detects a gradient that is wrong by a hundredth of a percent in one tensor.
TEST(GradientLawCorner, TheComparisonSeesASmallError) {
  const Problem problem = MakeProblem(1, false);
  const TrainerOptions options = ProblemOptions(OBJECTIVE_JOINTLH, 0);
  const StepGradients reference = Reference(problem, options);
  StepGradients wrong = TrainedStep(problem, {}, options)[0];
  wrong.gradients[0].mul_(1.0001);
  const auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed).value();
  EXPECT_GT(DifferenceOf(encoder->parameters(), wrong, reference).relative, kFloatRelative);
}

}  // namespace
}  // namespace muster
