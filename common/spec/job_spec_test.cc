#include "common/spec/job_spec.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

using muster::v1::JobSpec;
using ::testing::HasSubstr;
using ::testing::StartsWith;

JobSpec Good() {
  JobSpec spec;
  spec.set_name("scifact-lsepair");
  spec.mutable_model()->set_from("all-minilm-l6-v2");
  spec.mutable_data()->set_train("scifact");
  spec.mutable_duration()->set_epochs(3);
  return spec;
}

TEST(FillDefaults, SizesOfAMicroBatchAndOfKeptGraphsAreTheDevices) {
  JobSpec spec = Good();
  spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  FillDefaults(spec);
  EXPECT_EQ(spec.batch().micro_batch_tokens(), 2048);
  EXPECT_EQ(spec.batch().keep_activations(), uint64_t{4} << 30);
  JobSpec gpu = Good();
  gpu.mutable_resources()->set_device(muster::v1::DEVICE_GPU);
  FillDefaults(gpu);
  EXPECT_EQ(gpu.batch().micro_batch_tokens(), 16384);
  EXPECT_EQ(gpu.batch().keep_activations(), uint64_t{8} << 30);
  JobSpec lengthy = Good();
  lengthy.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  lengthy.mutable_model()->mutable_max_length()->set_passage(8192);
  FillDefaults(lengthy);
  EXPECT_EQ(lengthy.batch().micro_batch_tokens(), 8192) << "it holds the longest sequence";
  JobSpec own = Good();
  own.mutable_batch()->set_micro_batch_tokens(300);
  FillDefaults(own);
  own.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  FillDefaults(own);
  EXPECT_EQ(own.batch().micro_batch_tokens(), 300) << "a job's own value stays";
}

TEST(FillDefaults, FillsWhatTheProtoNames) {
  JobSpec spec = Good();
  spec.mutable_evaluate()->set_dataset("scifact");
  FillDefaults(spec);
  EXPECT_EQ(spec.model().max_length().query(), 64);
  EXPECT_EQ(spec.data().positives().per_query(), 4);
  EXPECT_EQ(spec.data().split(), "train");
  EXPECT_FLOAT_EQ(spec.loss().temperature(), 0.05);
  EXPECT_FALSE(spec.batch().has_micro_batch_tokens()) << "the device decides";
  EXPECT_FALSE(spec.batch().has_keep_activations());
  EXPECT_EQ(spec.evaluate().split(), "dev");
  EXPECT_EQ(spec.evaluate().metric(), "ndcg@10");
  EXPECT_EQ(spec.resources().queue(), "default");
  EXPECT_EQ(spec.seed(), 17);
  EXPECT_FALSE(spec.has_report());
  EXPECT_FALSE(spec.model().has_normalize()) << "the pushed model decides";
  EXPECT_FALSE(spec.model().has_dropout());
  EXPECT_FALSE(spec.data().positives().has_min_grade());
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
}

TEST(FillDefaults, DistillsOnlyWhereAsked) {
  JobSpec spec = Good();
  FillDefaults(spec);
  EXPECT_FALSE(spec.loss().has_distill());
  spec.mutable_loss()->mutable_distill()->set_weight(2);
  FillDefaults(spec);
  EXPECT_EQ(spec.loss().distill().kind(), muster::v1::DISTILL_KIND_KL);
  EXPECT_EQ(spec.loss().distill().weight(), 2);
  EXPECT_EQ(spec.loss().distill().temperature(), 1);
  EXPECT_TRUE(spec.loss().distill().has_only());
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
}

TEST(FillDefaults, IsIdempotentAndKeepsWhatIsGiven) {
  JobSpec spec = Good();
  spec.mutable_optimizer()->set_warmup(0);
  spec.mutable_resources()->mutable_slots()->set_min(4);
  FillDefaults(spec);
  EXPECT_EQ(spec.optimizer().warmup(), 0);
  EXPECT_EQ(spec.resources().slots().max(), 4);
  JobSpec again = spec;
  FillDefaults(again);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(spec, again));
}

TEST(FillDefaults, DecidesForAPreset) {
  JobSpec spec = Good();
  spec.mutable_model()->clear_from();
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_model()->set_tokenizer("minilm");
  FillDefaults(spec);
  EXPECT_TRUE(spec.model().normalize());
  EXPECT_EQ(spec.model().pooling(), muster::v1::POOLING_MEAN);
  EXPECT_TRUE(ValidateJobSpec(spec).ok());
}

struct Broken {
  const char* path;
  std::function<void(JobSpec&)> breaks;
};

class ValidateJobSpecTest : public ::testing::TestWithParam<Broken> {};

TEST_P(ValidateJobSpecTest, RefusesWithThePath) {
  JobSpec spec = Good();
  GetParam().breaks(spec);
  FillDefaults(spec);
  const absl::Status status = ValidateJobSpec(spec);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith(std::string(GetParam().path) + ": "));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, ValidateJobSpecTest,
    ::testing::Values(
        Broken{"name", [](JobSpec& s) { s.set_name("A b"); }},
        Broken{"model.from", [](JobSpec& s) { s.mutable_model()->clear_from(); }},
        Broken{"model.from", [](JobSpec& s) { s.mutable_model()->set_from("job:"); }},
        Broken{"model.from", [](JobSpec& s) { s.mutable_model()->set_from("job:a@last"); }},
        Broken{"report",
               [](JobSpec& s) {
                 s.mutable_duration()->set_steps(0);
                 s.mutable_model()->set_from("job:a");
               }},
        Broken{"model.pooling",
               [](JobSpec& s) {
                 s.mutable_duration()->set_steps(0);
                 s.mutable_model()->set_from("job:a@20");
                 s.mutable_model()->set_pooling(muster::v1::POOLING_CLS);
               }},
        Broken{"model.preset", [](JobSpec& s) { s.mutable_model()->set_preset("tiny"); }},
        Broken{"model.preset",
               [](JobSpec& s) {
                 s.mutable_model()->clear_from();
                 s.mutable_model()->set_preset("huge");
               }},
        Broken{"model.tokenizer",
               [](JobSpec& s) {
                 s.mutable_model()->clear_from();
                 s.mutable_model()->set_preset("tiny");
               }},
        Broken{"model.dropout", [](JobSpec& s) { s.mutable_model()->set_dropout(1); }},
        Broken{"model.hidden_dropout", [](JobSpec& s) { s.mutable_model()->set_hidden_dropout(1); }},
        Broken{"model.attention_dropout", [](JobSpec& s) { s.mutable_model()->set_attention_dropout(-0.1f); }},
        Broken{"model.max_length.query", [](JobSpec& s) { s.mutable_model()->mutable_max_length()->set_query(2); }},
        Broken{"model.freeze", [](JobSpec& s) { s.mutable_model()->add_freeze("layers.5-2"); }},
        Broken{"data.train", [](JobSpec& s) { s.mutable_data()->clear_train(); }},
        Broken{"data.negatives.choose",
               [](JobSpec& s) { s.mutable_data()->mutable_negatives()->set_choose(muster::v1::CHOOSE_TOP_GRADED); }},
        Broken{"loss.matryoshka_dimensions",
               [](JobSpec& s) {
                 for (const uint32_t size : {64, 128, 64}) s.mutable_loss()->add_matryoshka_dimensions(size);
               }},
        Broken{"loss.matryoshka_dimensions", [](JobSpec& s) { s.mutable_loss()->add_matryoshka_dimensions(0); }},
        Broken{"loss.matryoshka_weights",
               [](JobSpec& s) {
                 s.mutable_loss()->add_matryoshka_dimensions(64);
                 s.mutable_loss()->add_matryoshka_weights(-1);
               }},
        Broken{"loss.matryoshka_weights",
               [](JobSpec& s) {
                 s.mutable_loss()->add_matryoshka_dimensions(64);
                 for (int i = 0; i < 2; ++i) s.mutable_loss()->add_matryoshka_weights(1);
               }},
        Broken{"loss.matryoshka_weights", [](JobSpec& s) { s.mutable_loss()->add_matryoshka_weights(1); }},
        Broken{"loss.false_negatives.margin", [](JobSpec& s) { s.mutable_loss()->mutable_false_negatives(); }},
        Broken{"loss.false_negatives.margin",
               [](JobSpec& s) { s.mutable_loss()->mutable_false_negatives()->set_margin(0.0f / 0.0f); }},
        Broken{"loss.false_negatives",
               [](JobSpec& s) {
                 s.mutable_loss()->mutable_false_negatives()->set_margin(0.1f);
                 s.mutable_loss()->mutable_distill()->set_only(true);
               }},
        Broken{"loss.distill.kind",
               [](JobSpec& s) { s.mutable_loss()->mutable_distill()->set_kind(static_cast<muster::v1::DistillKind>(9)); }},
        Broken{"loss.distill.weight", [](JobSpec& s) { s.mutable_loss()->mutable_distill()->set_weight(0); }},
        Broken{"loss.distill.temperature", [](JobSpec& s) { s.mutable_loss()->mutable_distill()->set_temperature(-1); }},
        Broken{"profile", [](JobSpec& s) { s.set_profile("Tevatron 2"); }},
        Broken{"loss.temperature", [](JobSpec& s) { s.mutable_loss()->set_temperature(0); }},
        Broken{"batch.queries", [](JobSpec& s) { s.mutable_batch()->set_queries(0); }},
        Broken{"batch.micro_batch_tokens", [](JobSpec& s) { s.mutable_batch()->set_micro_batch_tokens(255); }},
        Broken{"optimizer.learning_rate", [](JobSpec& s) { s.mutable_optimizer()->set_learning_rate(-1); }},
        Broken{"optimizer.learning_rate", [](JobSpec& s) { s.mutable_optimizer()->set_learning_rate(0.0 / 0.0); }},
        Broken{"optimizer.layer_decay", [](JobSpec& s) { s.mutable_optimizer()->set_layer_decay(1.1); }},
        Broken{"optimizer.learning_rates.head", [](JobSpec& s) { s.mutable_optimizer()->mutable_learning_rates()->set_head(-1); }},
        Broken{"optimizer.beta1", [](JobSpec& s) { s.mutable_optimizer()->set_beta1(1); }},
        Broken{"duration", [](JobSpec& s) { s.clear_duration(); }},
        Broken{"duration.epochs", [](JobSpec& s) { s.mutable_duration()->set_epochs(0); }},
        Broken{"report", [](JobSpec& s) { s.mutable_duration()->set_steps(0); }},
        Broken{"evaluate.dataset", [](JobSpec& s) { s.mutable_evaluate(); }},
        Broken{"evaluate.metric",
               [](JobSpec& s) {
                 s.mutable_evaluate()->set_dataset("scifact");
                 s.mutable_evaluate()->set_metric("ndcg@0");
               }},
        Broken{"report.split",
               [](JobSpec& s) {
                 s.mutable_evaluate()->set_dataset("scifact");
                 s.mutable_report()->set_dataset("scifact");
                 s.mutable_report()->set_split("dev");
               }},
        Broken{"report.metrics[1]",
               [](JobSpec& s) {
                 s.mutable_report()->set_dataset("scifact");
                 for (const char* metric : {"ndcg@5", "p@5"}) s.mutable_report()->add_metrics(metric);
               }},
        Broken{"report.metrics[2]",
               [](JobSpec& s) {
                 s.mutable_report()->set_dataset("scifact");
                 for (const char* metric : {"ndcg@5", "map", "ndcg@5"}) s.mutable_report()->add_metrics(metric);
               }},
        Broken{"report.metrics",
               [](JobSpec& s) {
                 s.mutable_report()->set_dataset("scifact");
                 for (int k = 1; k <= 51; ++k) s.mutable_report()->add_metrics(absl::StrCat("ndcg@", k));
               }},
        Broken{"report.run_depth",
               [](JobSpec& s) {
                 s.mutable_report()->set_dataset("scifact");
                 s.mutable_report()->set_run_depth(10001);
               }},
        Broken{"resources.slots.min", [](JobSpec& s) { s.mutable_resources()->mutable_slots()->set_min(0); }},
        Broken{"resources.slots.max",
               [](JobSpec& s) {
                 s.mutable_resources()->mutable_slots()->set_min(2);
                 s.mutable_resources()->mutable_slots()->set_max(1);
               }},
        Broken{"checkpoint.keep", [](JobSpec& s) { s.mutable_checkpoint()->set_keep(0); }}));

TEST(ValidateJobSpec, LetsTheSelectionSplitBeReportedByName) {
  JobSpec spec = Good();
  spec.mutable_evaluate()->set_dataset("scifact");
  spec.mutable_report()->set_dataset("scifact");
  spec.mutable_report()->set_split("dev");
  spec.mutable_report()->set_allow_selection_split(true);
  FillDefaults(spec);
  EXPECT_TRUE(ValidateJobSpec(spec).ok());
}

TEST(ValidateJobSpec, AReportMayHaveMoreMetricsAndRankings) {
  JobSpec spec = Good();
  spec.mutable_report()->set_dataset("scifact");
  for (const char* metric : {"ndcg@5", "ndcg@10", "precision@10", "map"}) spec.mutable_report()->add_metrics(metric);
  spec.mutable_report()->set_run_depth(10000);
  FillDefaults(spec);
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  spec.mutable_report()->set_run_depth(0);
  FillDefaults(spec);
  EXPECT_FALSE(spec.report().has_run_depth()) << "older ranks cannot read it";
}

TEST(ValidateJobSpec, TakesAJobThatOnlyEvaluates) {
  JobSpec spec = Good();
  spec.mutable_data()->clear_train();
  spec.mutable_duration()->set_steps(0);
  spec.mutable_report()->set_dataset("scifact");
  FillDefaults(spec);
  EXPECT_TRUE(EvaluatesOnly(spec));
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
}

TEST(ValidateJobSpec, TakesAJobThatOnlyExportsACheckpoint) {
  JobSpec spec = Good();
  spec.mutable_data()->clear_train();
  spec.mutable_model()->set_from("job:a@20");
  spec.mutable_duration()->set_steps(0);
  FillDefaults(spec);
  EXPECT_TRUE(ExportsOnly(spec));
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  spec.mutable_report()->set_dataset("scifact");
  FillDefaults(spec);
  EXPECT_FALSE(ExportsOnly(spec)) << "it measures the checkpoint";
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
}

JobSpec Mining() {
  JobSpec spec = Good();
  spec.mutable_data()->clear_train();
  spec.mutable_duration()->set_steps(0);
  spec.mutable_mine()->set_dataset("scifact");
  spec.mutable_mine()->set_out("scifact-mined");
  return spec;
}

TEST(FillDefaults, OfMining) {
  JobSpec spec = Mining();
  FillDefaults(spec);
  EXPECT_EQ(spec.mine().split(), "train");
  EXPECT_EQ(spec.mine().ranks().first(), 1);
  EXPECT_EQ(spec.mine().ranks().last(), 100);
  EXPECT_EQ(spec.mine().per_query(), 4);
  EXPECT_FALSE(spec.mine().has_absolute_margin());
  EXPECT_EQ(spec.mine().relative_margin(), 0.95);
  EXPECT_EQ(spec.mine().sampling(), muster::v1::SAMPLING_TOP);
  EXPECT_TRUE(MinesOnly(spec));
  EXPECT_FALSE(ExportsOnly(spec));
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  spec = Mining();
  spec.mutable_mine()->mutable_ranks()->set_first(500);
  FillDefaults(spec);
  EXPECT_EQ(spec.mine().ranks().last(), 500);
  JobSpec training = Good();
  FillDefaults(training);
  EXPECT_FALSE(training.has_mine()) << "older ranks could not read it";
}

TEST(ValidateJobSpec, RefusesWhatMiningDoesNotDo) {
  const auto refused = [](const std::function<void(JobSpec&)>& change) {
    JobSpec spec = Mining();
    change(spec);
    FillDefaults(spec);
    return std::string(ValidateJobSpec(spec).message());
  };
  EXPECT_THAT(refused([](JobSpec& spec) {
                spec.mutable_duration()->set_steps(10);
                spec.mutable_data()->set_train("scifact");
              }),
              StartsWith("mine: a job that trains mines nothing."));
  EXPECT_THAT(refused([](JobSpec& spec) { spec.mutable_report()->set_dataset("scifact"); }), StartsWith("report: a job that mines"));
  EXPECT_THAT(refused([](JobSpec& spec) { spec.mutable_evaluate()->set_dataset("scifact"); }), StartsWith("evaluate: a job that mines"));
  EXPECT_THAT(refused([](JobSpec& spec) { spec.mutable_data()->set_train("scifact"); }), StartsWith("data.train: has no effect"));
  EXPECT_THAT(refused([](JobSpec& spec) { spec.mutable_mine()->clear_out(); }), StartsWith("mine.out: \"\" is not a valid name"));
  EXPECT_EQ(refused([](JobSpec& spec) {
              spec.mutable_mine()->mutable_ranks()->set_first(10);
              spec.mutable_mine()->mutable_ranks()->set_last(9);
            }),
            "mine.ranks.last: is 9. It must be at least mine.ranks.first, 10.");
  EXPECT_EQ(refused([](JobSpec& spec) {
              spec.mutable_mine()->mutable_ranks()->set_first(10);
              spec.mutable_mine()->mutable_ranks()->set_last(12);
            }),
            "mine.per_query: is 4, and mine.ranks are only 3. Lower it, or widen the ranks.");
  EXPECT_THAT(refused([](JobSpec& spec) { spec.mutable_mine()->set_relative_margin(1.5); }), StartsWith("mine.relative_margin: is 1.5."));
}

TEST(ValidateJobSpec, RefusesNumbersOutsideTheEnumeration) {
  JobSpec spec = Good();
  FillDefaults(spec);
  spec.mutable_resources()->set_device(static_cast<muster::v1::Device>(99));
  EXPECT_EQ(ValidateJobSpec(spec).message(), "resources.device: unknown value 99. Use a client of the server's version.");
}

TEST(ValidateJobSpec, RefusesWhatIsTooLargeToKeep) {
  JobSpec spec = Good();
  FillDefaults(spec);
  spec.mutable_model()->mutable_prompts()->set_query(std::string(1 << 20, 'x'));
  EXPECT_THAT(std::string(ValidateJobSpec(spec).message()), HasSubstr("at most 65536 are taken"));
  spec.mutable_model()->mutable_prompts()->clear_query();
  spec.GetReflection()->MutableUnknownFields(&spec)->AddLengthDelimited(1000, std::string(1 << 20, 'x'));
  EXPECT_THAT(std::string(ValidateJobSpec(spec).message()), HasSubstr("at most 65536 are taken"));
}

TEST(CheckMatryoshka, TheWholeEmbeddingMustBeAmongTheSizes) {
  muster::v1::LossSpec loss;
  EXPECT_TRUE(CheckMatryoshka(loss, 384).ok());
  loss.add_matryoshka_dimensions(64);
  EXPECT_EQ(CheckMatryoshka(loss, 384).message(),
            "loss.matryoshka_dimensions: the largest is 64, and the model has 384 numbers per embedding: numbers beyond "
            "64 would not be trained. Add 384.");
  loss.add_matryoshka_dimensions(384);
  EXPECT_TRUE(CheckMatryoshka(loss, 384).ok());
  EXPECT_TRUE(CheckMatryoshka(loss, 0).ok()) << "not known";
  EXPECT_EQ(CheckMatryoshka(loss, 128).message(),
            "loss.matryoshka_dimensions: 384: the model has 128 numbers per embedding. Name sizes up to that one.");
}

TEST(ValidateJobSpec, TakesEveryPooling) {
  for (int pooling = muster::v1::Pooling_MIN; pooling <= muster::v1::Pooling_MAX; ++pooling) {
    JobSpec spec = Good();
    spec.mutable_model()->set_pooling(static_cast<muster::v1::Pooling>(pooling));
    FillDefaults(spec);
    EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  }
}

}  // namespace
}  // namespace muster
