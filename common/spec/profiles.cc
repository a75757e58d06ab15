#include "common/spec/profiles.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nearest_name.h"
#include "common/view.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the enumerations' values

// transformers/src/transformers/training_args.py, on which all tools but Arctic Embed build: learning_rate 5e-5,
// lr_scheduler_type linear, warmup 0, weight_decay 0, per_device_train_batch_size 8, adam_beta2 0.999, max_grad_norm 1.
constexpr double kHfLearningRate = 5e-5;
constexpr uint32_t kHfBatch = 8;

constexpr auto kProfiles = std::to_array<Profile>({
    // sentence_transformers/losses/MultipleNegativesRankingLoss.py: scale 20, similarity_fct cos_sim. The collator takes
    // prompts only from the arguments (training_args.py: prompts None). A row has one positive.
    {.name = "sentence-transformers",
     .temperature = 0.05f,
     .normalize = true,
     .learning_rate = kHfLearningRate,
     .schedule = SCHEDULE_LINEAR,
     .warmup = 0,
     .weight_decay = 0,
     .queries = kHfBatch,
     .positives = 1,
     .choose_positives = CHOOSE_RANDOM,
     .folder_length = true},
    // src/tevatron/retriever/arguments.py: temperature, pooling, normalize, query_max_len, passage_max_len, prefixes,
    // warmup_ratio, train_group_size 8, lora_r, lora_alpha. src/tevatron/retriever/dataset.py: the positive moves on by
    // one each epoch, the window of 7 negatives by 7.
    {.name = "tevatron",
     .temperature = 1,
     .pooling = POOLING_CLS,
     .normalize = false,
     .query_length = 32,
     .passage_length = 128,
     .learning_rate = kHfLearningRate,
     .lora_rank = 16,
     .lora_alpha = 64,
     .schedule = SCHEDULE_LINEAR,
     .warmup = 0.1,
     .weight_decay = 0,
     .queries = kHfBatch,
     .positives = 1,
     .choose_positives = CHOOSE_ROTATE,
     .negatives = 7,
     .choose_negatives = CHOOSE_ROTATE},
    // FlagEmbedding/abc/finetune/embedder/AbsArguments.py: temperature, sentence_pooling_method, normalize_embeddings,
    // lengths, instructions, train_group_size 8. AbsDataset.py: one positive and 7 negatives at random.
    {.name = "flagembedding",
     .temperature = 0.02f,
     .pooling = POOLING_CLS,
     .normalize = true,
     .query_length = 32,
     .passage_length = 128,
     .learning_rate = kHfLearningRate,
     .schedule = SCHEDULE_LINEAR,
     .warmup = 0,
     .weight_decay = 0,
     .queries = kHfBatch,
     .positives = 1,
     .choose_positives = CHOOSE_RANDOM,
     .negatives = 7,
     .choose_negatives = CHOOSE_RANDOM},
    // swift/loss/embedding.py: INFONCE_TEMPERATURE. swift/model/patcher.py: embeddings are normalized.
    // swift/trainers/arguments.py: weight_decay, adam_beta2, lr_scheduler_type, warmup_ratio. swift/arguments/sft_args.py:
    // the learning rate with and without LoRA; tuner_args.py: lora_rank, lora_alpha. swift/template/base.py: the first
    // positive.
    {.name = "swift",
     .temperature = 0.1f,
     .normalize = true,
     .learning_rate = 1e-5,
     .lora_learning_rate = 1e-4,
     .lora_rank = 8,
     .lora_alpha = 32,
     .schedule = SCHEDULE_COSINE,
     .warmup = 0,
     .weight_decay = 0.1,
     .beta2 = 0.95,
     .positives = 1,
     .choose_positives = CHOOSE_FIRST,
     .folder_length = true},
    // snowflakedb/ArcticTraining, projects/arctic_embed: src/arctic_embed/trainer.py (loss_temperature),
    // core/biencoder_model.py (first_token, normalized), examples/finetune_models/finetune_e5_base_unsupervised.py
    // (lengths, learning rate, weight decay, gradient_clipping), examples/finetune_models/README.md, step 5 (query
    // prefix, 256 queries, 3 positives, 10 negatives).
    {.name = "arctic",
     .temperature = 0.02f,
     .pooling = POOLING_CLS,
     .normalize = true,
     .query_length = 512,
     .passage_length = 512,
     .query_prompt = "query: ",
     .learning_rate = 3e-5,
     .weight_decay = 0.01,
     .max_grad_norm = 10,
     .queries = 256,
     .positives = 3,
     .choose_positives = CHOOSE_RANDOM,
     .negatives = 10,
     .choose_negatives = CHOOSE_RANDOM},
    // WangLanHuaJiaoFen/Multi-Positive-Passages, the code of arXiv 2602.12727: examples/training-on-msmarco.md (2 processes of
    // 64 queries, train_n_passages 8, max_positive_num 4, lengths, learning rate), src/tevatron/arguments.py (normalize,
    // warmup_ratio), src/tevatron/data.py (the first positives; the window of negatives moves on by its width each epoch). The
    // scores are dot products without a temperature. ToolProfiles() relies on it being the last.
    {.name = "multi-positive",
     .temperature = 1,
     .pooling = POOLING_CLS,
     .normalize = false,
     .query_length = 16,
     .passage_length = 128,
     .learning_rate = 3e-5,
     .schedule = SCHEDULE_LINEAR,
     .warmup = 0.1,
     .weight_decay = 0,
     .queries = 128,
     .positives = 4,
     .choose_positives = CHOOSE_FIRST,
     .negatives = 4,
     .choose_negatives = CHOOSE_ROTATE},
});

// Sets a field that has presence, if there is a value and the field is not set.
#define MUSTER_SET(message, field, value)                             \
  if (const std::optional given(value); given.has_value() && !(message).has_##field()) \
  (message).set_##field(*given)

void ApplyToModel(const Profile& profile, ModelSpec& model) {
  MUSTER_SET(model, pooling, profile.pooling);
  MUSTER_SET(model, normalize, profile.normalize);
  if (profile.query_length.has_value()) MUSTER_SET(*model.mutable_max_length(), query, profile.query_length);
  if (profile.passage_length.has_value()) MUSTER_SET(*model.mutable_max_length(), passage, profile.passage_length);
  MUSTER_SET(*model.mutable_prompts(), query, std::string(profile.query_prompt));
  MUSTER_SET(*model.mutable_prompts(), passage, std::string(profile.passage_prompt));
  if (!model.has_lora()) return;
  MUSTER_SET(*model.mutable_lora(), rank, profile.lora_rank);
  MUSTER_SET(*model.mutable_lora(), alpha, profile.lora_alpha);
}

void ApplyToData(const Profile& profile, DataSpec& data) {
  MUSTER_SET(*data.mutable_positives(), per_query, profile.positives);
  MUSTER_SET(*data.mutable_positives(), choose, profile.choose_positives);
  MUSTER_SET(*data.mutable_negatives(), per_query, profile.negatives);
  MUSTER_SET(*data.mutable_negatives(), choose, profile.choose_negatives);
}

void ApplyToOptimizer(const Profile& profile, bool lora, OptimizerSpec& optimizer) {
  MUSTER_SET(optimizer, learning_rate,
             lora ? profile.lora_learning_rate.value_or(profile.learning_rate) : profile.learning_rate);
  MUSTER_SET(optimizer, schedule, profile.schedule);
  MUSTER_SET(optimizer, warmup, profile.warmup);
  MUSTER_SET(optimizer, weight_decay, profile.weight_decay);
  MUSTER_SET(optimizer, beta2, profile.beta2);
  MUSTER_SET(optimizer, max_grad_norm, profile.max_grad_norm);
}

}  // namespace

std::span<const Profile> Profiles() { return kProfiles; }

std::span<const Profile> ToolProfiles() { return std::span<const Profile>(kProfiles).first(kProfiles.size() - 1); }

const Profile* FindProfile(std::string_view name) {
  const auto found = std::ranges::find(kProfiles, name, &Profile::name);
  return found != kProfiles.end() ? &*found : nullptr;
}

absl::Status CheckProfile(const JobSpec& spec) {
  if (spec.profile().empty() || FindProfile(spec.profile()) != nullptr) return absl::OkStatus();
  std::vector<std::string> names;
  for (const Profile& profile : kProfiles) names.emplace_back(profile.name);
  return absl::InvalidArgumentError(
      absl::StrCat("profile: unknown profile \"", spec.profile(), "\". ", AllowedNames(spec.profile(), names)));
}

void ApplyProfile(JobSpec& spec) {
  const Profile* profile = FindProfile(spec.profile());
  if (profile == nullptr) return;
  ApplyToModel(*profile, *spec.mutable_model());
  ApplyToData(*profile, *spec.mutable_data());
  MUSTER_SET(*spec.mutable_loss(), temperature, profile->temperature);
  MUSTER_SET(*spec.mutable_batch(), queries, profile->queries);
  ApplyToOptimizer(*profile, spec.model().has_lora(), *spec.mutable_optimizer());
}
#undef MUSTER_SET

}  // namespace muster
