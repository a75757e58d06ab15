#include "client/init/translate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/init/detect_tool.h"
#include "client/init/job_draft.h"
#include "client/init/rules.h"
#include "client/job_file.h"
#include "common/spec/job_spec.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the specification's values
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ToolArguments Read(const std::string& text) { return ReadToolArguments("args", text).value(); }

Translation Translated(const std::string& text, TranslateOptions options = {}) {
  options.source = "args";
  const auto translation = TranslateArguments(Read(text), options);
  EXPECT_TRUE(translation.ok()) << translation.status();
  return translation.value_or(Translation());
}

// The job in the translation's file, with its defaults.
JobSpec Job(const Translation& translation) {
  auto spec = ReadJobText("job.yaml", translation.job_file);
  EXPECT_TRUE(spec.ok()) << spec.status() << "\n" << translation.job_file;
  JobSpec job = spec.value_or(JobSpec());
  FillDefaults(job);
  return job;
}

// README.md of Tevatron, with prompts.
constexpr char kTevatron[] = R"(
torchrun --nproc_per_node 4 -m tevatron.retriever.driver.train \
  --output_dir model-nq \
  --model_name_or_path bert-base-uncased \
  --dataset_name Tevatron/wikipedia-nq \
  --save_steps 20000 \
  --fp16 \
  --per_device_train_batch_size 32 \
  --train_group_size 2 \
  --learning_rate 1e-5 \
  --query_max_len 32 --passage_max_len 156 \
  --num_train_epochs 40 \
  --query_prefix "query: " \
  --grad_cache --gc_p_chunk_size 8 \
  --overwrite_output_dir
)";

TEST(TranslateArguments, ReadsTevatronsCommandLine) {
  const Translation translation = Translated(kTevatron);
  EXPECT_EQ(translation.tool, "tevatron");
  const JobSpec job = Job(translation);
  EXPECT_EQ(job.profile(), "tevatron");
  EXPECT_EQ(job.model().from(), "bert-base-uncased");
  EXPECT_EQ(job.model().pooling(), POOLING_CLS) << "the profile's";
  EXPECT_EQ(job.model().prompts().query(), "query: ");
  EXPECT_EQ(job.model().max_length().passage(), 156);
  EXPECT_EQ(job.data().train(), "wikipedia-nq");
  EXPECT_EQ(job.data().negatives().per_query(), 1);
  EXPECT_EQ(job.batch().queries(), 128);
  EXPECT_DOUBLE_EQ(job.optimizer().learning_rate(), 1e-5);
  EXPECT_EQ(job.duration().epochs(), 40);
  EXPECT_EQ(job.checkpoint().every_steps(), 20000);
  EXPECT_THAT(translation.job_file, HasSubstr("per_device_train_batch_size: 32; times 4 processes (nproc_per_node); all "
                                              "queries of a step see each other's passages"));
  EXPECT_THAT(translation.job_file, HasSubstr("# Not translated:\n#   fp16: true: there is no float16"));
  EXPECT_THAT(translation.job_file, HasSubstr("#   grad_cache: true (memory does not grow with the batch"));
}

TEST(TranslateArguments, ReadsFlagEmbeddingsArguments) {
  const JobSpec job = Job(Translated(R"({"model_name_or_path": "BAAI/bge-base-en-v1.5", "train_data": ["data/a.jsonl"],
    "query_instruction_for_retrieval": "find", "query_instruction_format": "Instruct: {}\nQuery: {}", "temperature": 0.01,
    "sentence_pooling_method": "mean", "normalize_embeddings": "True", "train_group_size": 4, "warmup_ratio": 0.1,
    "lr_scheduler_type": "cosine", "use_mrl": true, "mrl_dims": [64, 768], "negatives_cross_device": true,
    "num_train_epochs": 2, "per_device_train_batch_size": 16, "max_steps": -1})", {.processes = 2}));
  EXPECT_EQ(job.profile(), "flagembedding");
  EXPECT_EQ(job.model().from(), "bge-base-en-v1.5");
  EXPECT_EQ(job.data().train(), "a");
  EXPECT_EQ(job.model().prompts().query(), "Instruct: find\nQuery: ");
  EXPECT_EQ(job.model().pooling(), POOLING_MEAN);
  EXPECT_FLOAT_EQ(job.loss().temperature(), 0.01);
  EXPECT_THAT(job.loss().matryoshka_dimensions(), ElementsAre(64, 768));
  EXPECT_THAT(job.loss().matryoshka_weights(), ElementsAre(0.5, 0.5)) << "the tool takes the mean";
  EXPECT_EQ(job.data().negatives().per_query(), 3);
  EXPECT_EQ(job.batch().queries(), 32);
  EXPECT_EQ(job.optimizer().schedule(), SCHEDULE_COSINE);
  EXPECT_EQ(job.duration().epochs(), 2);
  EXPECT_FALSE(job.loss().has_distill());
}

TEST(TranslateArguments, SeveralDatasetsBecomeTrainingSets) {
  const std::string start =
      R"({"model_name_or_path": "m", "train_data": ["a.jsonl", "b.jsonl"], "sentence_pooling_method": "cls", )";
  const JobSpec mixed = Job(Translated(start + R"("same_dataset_within_batch": false, "small_threshold": 100})"));
  EXPECT_EQ(mixed.data().train(), "");
  ASSERT_EQ(mixed.data().sets_size(), 2);
  EXPECT_EQ(mixed.data().sets(0).dataset(), "a");
  EXPECT_EQ(mixed.data().sets(1).dataset(), "b");
  EXPECT_FALSE(mixed.data().homogeneous_batches());
  const Translation same =
      Translated(start + R"("same_dataset_within_batch": true, "small_threshold": 100, "drop_threshold": 0})");
  EXPECT_TRUE(Job(same).data().homogeneous_batches());
  EXPECT_THAT(same.job_file, HasSubstr("#   small_threshold: 100: small datasets are neither merged nor left out"));
  EXPECT_THAT(Translated(R"({"model_name_or_path": "m", "train_data": ["x/train.jsonl", "y/train.jsonl"],
                             "sentence_pooling_method": "cls"})")
                  .job_file,
              HasSubstr("two of them would have the name train"));
  const std::string sampler = R"({"model_name_or_path": "m", "scale": 20, "train_dataset": ["a", "b"])";
  EXPECT_TRUE(Job(Translated(sampler + "}")).data().homogeneous_batches()) << "sentence-transformers' default";
  EXPECT_TRUE(Job(Translated(sampler + R"(, "multi_dataset_batch_sampler": "proportional"})")).data().homogeneous_batches());
  EXPECT_THAT(Translated(sampler + R"(, "multi_dataset_batch_sampler": "round_robin"})").job_file,
              HasSubstr("steps are drawn in proportion to the datasets"));
}

TEST(TranslateArguments, ReadsFlagEmbeddingsDistillation) {
  const std::string start = R"({"model_name_or_path": "m", "train_data": "a.jsonl", "sentence_pooling_method": "cls", "num_train_epochs": 1, )";
  EXPECT_EQ(Job(Translated(start + R"("knowledge_distillation": true, "kd_loss_type": "kl_div"})")).loss().distill().kind(),
            DISTILL_KIND_KL);
  EXPECT_FALSE(Job(Translated(start + R"("knowledge_distillation": false})")).loss().has_distill());
  EXPECT_THAT(Translated(start + R"("knowledge_distillation": true, "kd_loss_type": "m3_kd_loss"})").job_file,
              HasSubstr("kd_loss_type: m3_kd_loss: loss.distill has no such kind"));
}

TEST(TranslateArguments, ReadsSwiftsCommandLine) {
  const Translation translation = Translated(
      "INFONCE_TEMPERATURE=0.05 NPROC_PER_NODE=2 swift sft --model Qwen/Qwen3-Embedding-0.6B --task_type embedding --loss_type "
      "infonce --tuner_type full --lora_rank 8 --learning_rate 5e-6 --max_length 512 --torch_dtype bfloat16 "
      "--per_device_train_batch_size 8 --gradient_accumulation_steps 4 --deepspeed zero2 --num_train_epochs 1");
  const JobSpec job = Job(translation);
  EXPECT_EQ(job.profile(), "swift");
  EXPECT_FALSE(job.model().has_lora());
  EXPECT_FLOAT_EQ(job.loss().temperature(), 0.05);
  EXPECT_EQ(job.model().max_length().query(), 512);
  EXPECT_EQ(job.precision(), PRECISION_BF16);
  EXPECT_EQ(job.batch().queries(), 16);
  EXPECT_THAT(translation.job_file, HasSubstr("#   gradient_accumulation_steps: 4: the tool's parts do not see"));
  EXPECT_THAT(translation.job_file, HasSubstr("#   deepspeed: zero2: weights are not split over ranks"));
  EXPECT_FALSE(job.loss().has_false_negatives());
  const std::string masked = "INFONCE_MASK_FAKE_NEGATIVE=True ", swift = "swift sft --model a --tuner_type full";
  EXPECT_FLOAT_EQ(Job(Translated(masked + swift)).loss().false_negatives().margin(), 0.1f) << "the tool's default";
  EXPECT_FLOAT_EQ(Job(Translated(masked + "INFONCE_FAKE_NEG_MARGIN=0.05 " + swift)).loss().false_negatives().margin(), 0.05f);
  EXPECT_FALSE(Job(Translated("INFONCE_FAKE_NEG_MARGIN=0.05 " + swift)).loss().has_false_negatives());
  const JobSpec lora = Job(Translated("swift sft --model a --lora_alpha 16"));
  EXPECT_EQ(lora.model().lora().rank(), 8) << "the tool trains adapters unless tuner_type says otherwise";
  EXPECT_DOUBLE_EQ(lora.model().lora().alpha(), 16);
  EXPECT_DOUBLE_EQ(lora.optimizer().learning_rate(), 1e-4);
}

TEST(TranslateArguments, CountsProcessesOnlyWhereANumberIsGiven) {
  const Translation unknown = Translated("NPROC_PER_NODE=$nproc swift sft --model a --per_device_train_batch_size 4");
  EXPECT_EQ(Job(unknown).batch().queries(), 4);
  EXPECT_THAT(unknown.job_file, HasSubstr("# Not translated:\n#   NPROC_PER_NODE: $nproc: says no number of processes"));
  const std::string deepspeed = "deepspeed --include %s --module tevatron.retriever.driver.train --per_device_train_batch_size 4";
  EXPECT_EQ(Job(Translated(absl::StrReplaceAll(deepspeed, {{"%s", "localhost:0,1,2,3"}}))).batch().queries(), 16);
  const Translation hosts = Translated(absl::StrReplaceAll(deepspeed, {{"%s", "a:0,1@b:0,1"}}));
  EXPECT_THAT(hosts.job_file, HasSubstr("include: a:0,1@b:0,1: says no number of processes"));
}

TEST(TranslateArguments, AFormatsBackslashAndNAreALineEnd) {
  const JobSpec job = Job(Translated("torchrun -m FlagEmbedding.finetune.embedder.decoder_only.base --model_name_or_path m "
                                     "--query_instruction_for_retrieval find --query_instruction_format 'Instruct: {}\\nQuery: {}'"));
  EXPECT_EQ(job.model().prompts().query(), "Instruct: find\nQuery: ");
}

TEST(TranslateArguments, APromptPerColumnIsOfQueriesOrOfPassages) {
  const std::string start = "{matryoshka_dims: [8], prompts: {";
  const JobSpec job = Job(Translated(start + "anchor: 'query: ', positive: 'passage: ', negative_1: 'passage: '}}"));
  EXPECT_EQ(job.model().prompts().query(), "query: ");
  EXPECT_EQ(job.model().prompts().passage(), "passage: ");
  EXPECT_EQ(Job(Translated(start + "nq: {query: 'q: ', answer: null}}}")).model().prompts().query(), "q: ");
  const Translation other = Translated(start + "domain: 'x: ', positive: 'a: ', negative: 'b: '}}");
  EXPECT_THAT(other.job_file, HasSubstr("prompts.domain: x: : nothing says whether column \"domain\" holds queries or passages: set "
                                        "model.prompts.query or model.prompts.passage"));
  EXPECT_THAT(other.job_file, HasSubstr("prompts.negative: b: : another argument sets model.prompts.passage to"));
  EXPECT_THAT(Translated("{matryoshka_dims: [8], prompts: '{\"anchor\": \"q: \"}'}").job_file, HasSubstr("is not one prompt for all texts"));
}

TEST(TranslateArguments, ReadsSentenceTransformersAndArcticEmbed) {
  const JobSpec st = Job(Translated("{scale: 50, matryoshka_dims: [384, 64], matryoshka_weights: [1, 0.5], batch_sampler: "
                                    "no_duplicates, warmup_steps: 10, max_steps: 100, num_train_epochs: 3, run_name: My Run}"));
  EXPECT_EQ(st.profile(), "sentence-transformers");
  EXPECT_FLOAT_EQ(st.loss().temperature(), 0.02);
  EXPECT_THAT(st.loss().matryoshka_weights(), ElementsAre(1, 0.5));
  EXPECT_DOUBLE_EQ(st.optimizer().warmup(), 0.1);
  EXPECT_EQ(st.duration().steps(), 100);
  EXPECT_EQ(st.name(), "my-run");
  const JobSpec arctic = Job(Translated(
      "loss_temperature: 0.03\nmodel: {name_or_path: intfloat/e5-base, pooling: first_token}\noptimizer: {weight_decay: 0.02, "
      "betas: [0.9, 0.98]}\ndeepspeed: {gradient_clipping: 5.0, zero_optimization: {stage: 1}}\n"));
  EXPECT_EQ(arctic.profile(), "arctic");
  EXPECT_EQ(arctic.model().from(), "e5-base");
  EXPECT_FLOAT_EQ(arctic.loss().temperature(), 0.03);
  EXPECT_DOUBLE_EQ(arctic.optimizer().weight_decay(), 0.02);
  EXPECT_DOUBLE_EQ(arctic.optimizer().beta2(), 0.98);
  EXPECT_DOUBLE_EQ(arctic.optimizer().max_grad_norm(), 5);
}

// Every argument that a rule knows, and one that no rule knows, with valid and invalid values.
TEST(TranslateArguments, DropsNothing) {
  for (const char* tool : {"sentence-transformers", "tevatron", "flagembedding", "swift", "arctic"}) {
    for (const std::string value : {"1", "0", "true", "null", "cls", "no such: \"value\" # \n x", "[1, 2]", ""}) {
      ToolArguments arguments;
      for (const RuleOf& rule : ArgumentRules()) {
        std::string key(rule.key);
        if (key.back() == '*') key.back() = 'x';
        arguments.arguments.push_back({key, {value}, 1});
      }
      arguments.arguments.push_back({"no_such_argument", {value}, 1});
      arguments.arguments.push_back({"learning_rate", {}, 1});
      const auto translation = TranslateArguments(arguments, {.source = "args", .tool = tool});
      ASSERT_TRUE(translation.ok()) << translation.status();
      EXPECT_EQ(translation->translated + translation->harmless + translation->not_translated, arguments.arguments.size());
      std::string text = translation->job_file;
      for (const Argument& argument : arguments.arguments) {
        EXPECT_NE(text.find(argument.key + ": "), std::string::npos) << tool << ", " << argument.key << ": " << value;
      }
      EXPECT_TRUE(ReadJobText("job.yaml", text).ok()) << ReadJobText("job.yaml", text).status() << "\n" << text;
    }
  }
}

// Every key that the table marks for a function has one, and every field that a key is copied to exists.
TEST(ArgumentRules, NameFieldsThatExist) {
  for (const RuleOf& rule : ArgumentRules()) {
    if (rule.rule != ArgumentRule::kCopy) continue;
    JobDraft draft;
    EXPECT_TRUE(draft.Set(std::string(rule.text), "1", "").ok() || draft.Set(std::string(rule.text), "true", "").ok())
        << rule.key << " → " << rule.text;
    EXPECT_EQ(FindArgumentRule(rule.key), &rule) << rule.key << ": another rule comes before";
  }
}

TEST(DetectTool, TheProgramDecidesThenWhatOneToolAloneHas) {
  EXPECT_EQ(DetectTool(Read("accelerate launch -m tevatron.retriever.driver.train --train_data a")), "tevatron");
  EXPECT_EQ(DetectTool(Read("grad_cache: true")), "tevatron");
  EXPECT_EQ(DetectTool(Read("learning_rate: 1e-5")), "");
  EXPECT_EQ(DetectTool(Read("{grad_cache: true, task_type: embedding}")), "");
  EXPECT_EQ(TranslateArguments(Read("learning_rate: 1"), {}).status().message(),
            "the arguments do not fit exactly one tool. Name it with --tool. Allowed: sentence-transformers, tevatron, flagembedding, "
            "swift, arctic.");
}

TEST(JobDraft, AnyTextIsAScalar) {
  for (const std::string text : {"", "a", "null", "true", "-", "--", "a: b", "# x", "\"", "\\", "\n", "é", "query: "}) {
    JobDraft draft;
    ASSERT_TRUE(draft.Set("model.prompts.query", YamlScalar(text), "a comment\nof two lines").ok()) << text;
    EXPECT_EQ(ReadJobText("job.yaml", draft.Text()).value().model().prompts().query(), text);
  }
}

}  // namespace
}  // namespace muster
