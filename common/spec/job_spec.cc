#include "common/spec/job_spec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/parts.h"
#include "common/retrieval/metric_name.h"
#include "common/spec/job_source.h"
#include "common/spec/label_noise.h"
#include "common/spec/number_ranges.h"
#include "common/spec/profiles.h"
#include "common/spec/report_metrics.h"
#include "common/spec/stages.h"
#include "common/spec/training_sets.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::JobSpec;

constexpr size_t kMaxSpecBytes = 64 << 10;

// Sets an optional field of a message unless it is set.
#define MUSTER_DEFAULT(message, field, value) \
  if (!(message).has_##field()) (message).set_##field(value)

void SetIfEmpty(std::string& field, absl::string_view value) {
  if (field.empty()) field = std::string(value);
}

absl::Status Wrong(absl::string_view path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

absl::Status CheckReference(absl::string_view path, absl::string_view name) {
  if (IsValidName(ToStd(name))) return absl::OkStatus();
  return Wrong(path, absl::StrCat("\"", name, "\" is not a valid name. Use 1 to 63 of a-z 0-9 . _ -, a letter or digit first."));
}

// An enumeration value that this program does not know has only its number.
absl::Status CheckEnumerations(absl::string_view path, const google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = absl::StrCat(path, path.empty() ? "" : ".", field->name());
    if (field->is_repeated()) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;  // lists of words
      for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
        RETURN_IF_ERROR(
            CheckEnumerations(absl::StrCat(name, "[", i, "]"), message.GetReflection()->GetRepeatedMessage(message, field, i)));
      }
      continue;
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      RETURN_IF_ERROR(CheckEnumerations(name, message.GetReflection()->GetMessage(message, field)));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const int value = message.GetReflection()->GetEnumValue(message, field);
      if (field->enum_type()->FindValueByNumber(value) == nullptr) {
        return Wrong(name, absl::StrCat("unknown value ", value, ". Use a client of the server's version."));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const muster::v1::ModelSpec& model) {
  if (model.from().empty() && model.preset().empty()) {
    return Wrong("model.from", "is missing. Name a pushed model, a job (job:ID, or job:ID@STEP), or use model.preset: tiny.");
  }
  if (!model.from().empty() && !model.preset().empty()) {
    return Wrong("model.preset", "excludes model.from. Remove one of them.");
  }
  if (!model.preset().empty()) {
    if (model.preset() != "tiny") {
      return Wrong("model.preset", absl::StrCat("unknown preset \"", model.preset(), "\". Allowed: tiny."));
    }
    if (model.tokenizer().empty()) {
      return Wrong("model.tokenizer", "is required with model.preset. Name a pushed model or vocabulary.");
    }
  } else if (NamesJob(model.from())) {
    if (const auto source = ParseJobSource(model.from()); !source.ok()) return Wrong("model.from", source.status().message());
  } else {
    RETURN_IF_ERROR(CheckReference("model.from", model.from()));
  }
  if (!model.tokenizer().empty()) RETURN_IF_ERROR(CheckReference("model.tokenizer", model.tokenizer()));
  for (const std::string& part : model.freeze()) {
    if (const auto parsed = ParsePart(part); !parsed.ok()) return Wrong("model.freeze", parsed.status().message());
  }
  return absl::OkStatus();
}

absl::Status CheckLoss(const muster::v1::LossSpec& loss) {
  const auto& sizes = loss.matryoshka_dimensions();
  for (int i = 0; i < sizes.size(); ++i) {
    if (std::find(sizes.begin(), sizes.begin() + i, sizes[i]) == sizes.begin() + i) continue;
    return Wrong("loss.matryoshka_dimensions", absl::StrCat("names ", sizes[i], " twice. Remove one."));
  }
  if (loss.has_false_negatives() && !loss.false_negatives().has_margin()) {
    return Wrong("loss.false_negatives.margin", "is missing. Set it, or leave loss.false_negatives out.");
  }
  if (loss.distill().only() && loss.has_false_negatives()) {
    return Wrong("loss.false_negatives", "is about the objective, which loss.distill.only leaves out. Remove one of them.");
  }
  if (loss.matryoshka_weights().empty() || loss.matryoshka_weights_size() == sizes.size()) return absl::OkStatus();
  return Wrong("loss.matryoshka_weights",
               absl::StrCat("has ", loss.matryoshka_weights_size(), " numbers, and loss.matryoshka_dimensions has ", sizes.size(),
                            ". Give one weight per dimension, or leave the weights out."));
}

absl::Status CheckData(const JobSpec& spec) {
  RETURN_IF_ERROR(CheckNoise(spec.data()));
  RETURN_IF_ERROR(CheckTrainingSets(spec.data(), !EvaluatesOnly(spec)));
  if (spec.data().train().empty() && spec.data().sets().empty()) return absl::OkStatus();
  if (spec.data().negatives().choose() == muster::v1::CHOOSE_TOP_GRADED) {
    return Wrong("data.negatives.choose", "top_graded is for positives. Allowed: random, first, rotate.");
  }
  return absl::OkStatus();
}

absl::Status CheckBatch(const JobSpec& spec) {
  const uint32_t longest = std::max(spec.model().max_length().query(), spec.model().max_length().passage());
  if (!spec.batch().has_micro_batch_tokens()) return absl::OkStatus();  // the device's default, decided later
  if (spec.batch().micro_batch_tokens() >= longest) return absl::OkStatus();
  return Wrong("batch.micro_batch_tokens",
               absl::StrCat("is ", spec.batch().micro_batch_tokens(),
                            ". It must hold the longest sequence of model.max_length, ", longest, " tokens."));
}

// A job that neither trains nor evaluates. It stores a checkpoint as that checkpoint's job would have exported it.
absl::Status CheckExportAlone(const muster::v1::ModelSpec& model) {
  const bool of_checkpoint = NamesJob(model.from()) && ParseJobSource(model.from())->step.has_value();
  if (!of_checkpoint) {
    return Wrong("report", "is missing. A job with duration.steps 0 measures a model, or exports a checkpoint that model.from names "
                           "(job:ID@STEP).");
  }
  const std::pair<const char*, bool> fields[] = {
      {"pooling", model.pooling() != muster::v1::POOLING_UNSPECIFIED},
      {"normalize", model.has_normalize()},
      {"prompts.query", model.prompts().has_query()},
      {"prompts.passage", model.prompts().has_passage()},
      {"include_prompt", model.has_include_prompt()},
      {"lora", model.has_lora()},
      {"freeze", !model.freeze().empty()},
  };
  for (const auto& [field, set] : fields) {
    if (!set) continue;
    return Wrong(absl::StrCat("model.", field), "has no effect on a job that only exports a checkpoint. Leave it out.");
  }
  return absl::OkStatus();
}

absl::Status CheckMining(const JobSpec& spec) {
  const muster::v1::MineSpec& mine = spec.mine();
  if (!EvaluatesOnly(spec)) {
    return Wrong("mine", "a job that trains mines nothing. Set duration.steps: 0, and train with the result in another job.");
  }
  if (spec.has_evaluate() || spec.has_report()) {
    return Wrong(spec.has_evaluate() ? "evaluate" : "report", "a job that mines measures nothing. Leave it out, and use muster eval.");
  }
  if (!spec.data().train().empty() || !spec.data().sets().empty()) {
    return Wrong(spec.data().sets().empty() ? "data.train" : "data.sets",
                 "has no effect on a job that mines. Name the dataset as mine.dataset.");
  }
  RETURN_IF_ERROR(CheckReference("mine.dataset", mine.dataset()));
  RETURN_IF_ERROR(CheckReference("mine.split", mine.split()));
  RETURN_IF_ERROR(CheckReference("mine.out", mine.out()));
  if (mine.ranks().last() < mine.ranks().first()) {
    return Wrong("mine.ranks.last", absl::StrCat("is ", mine.ranks().last(), ". It must be at least mine.ranks.first, ",
                                                 mine.ranks().first(), "."));
  }
  const uint32_t ranks = mine.ranks().last() - mine.ranks().first() + 1;
  if (mine.per_query() <= ranks) return absl::OkStatus();
  return Wrong("mine.per_query", absl::StrCat("is ", mine.per_query(), ", and mine.ranks are only ", ranks,
                                              ". Lower it, or widen the ranks."));
}

absl::Status CheckEvaluation(const JobSpec& spec) {
  if (spec.has_mine()) return CheckMining(spec);
  if (spec.has_evaluate() && EvaluatesOnly(spec)) {
    return Wrong("evaluate", "a job that trains nothing evaluates by report. Move dataset and split there.");
  }
  if (spec.has_evaluate()) {
    const auto& evaluate = spec.evaluate();
    RETURN_IF_ERROR(CheckReference("evaluate.dataset", evaluate.dataset()));
    RETURN_IF_ERROR(CheckReference("evaluate.split", evaluate.split()));
    if (const auto metric = ParseMetricName(evaluate.metric()); !metric.ok()) {
      return Wrong("evaluate.metric", metric.status().message());
    }
  }
  if (spec.has_report()) {
    RETURN_IF_ERROR(CheckReference("report.dataset", spec.report().dataset()));
    RETURN_IF_ERROR(CheckReference("report.split", spec.report().split()));
    RETURN_IF_ERROR(CheckReportMetrics(spec.report()));
  } else if (EvaluatesOnly(spec)) {
    RETURN_IF_ERROR(CheckExportAlone(spec.model()));
  }
  if (spec.has_evaluate() && spec.has_report() && spec.evaluate().dataset() == spec.report().dataset() &&
      spec.evaluate().split() == spec.report().split() && !spec.report().allow_selection_split()) {
    return Wrong("report.split",
                 absl::StrCat("\"", spec.report().split(),
                              "\" also selects the model (evaluate.split), so the figures would flatter it. Report "
                              "another split, or set report.allow_selection_split: true."));
  }
  return absl::OkStatus();
}

absl::Status CheckTrace(const JobSpec& spec) {
  if (spec.trace_steps() == 0 || !EvaluatesOnly(spec)) return absl::OkStatus();
  return Wrong("trace_steps", "a job with duration.steps 0 takes no step. Leave it out.");
}

absl::Status CheckResources(const JobSpec& spec) {
  const auto& slots = spec.resources().slots();
  if (slots.max() < slots.min()) {
    return Wrong("resources.slots.max", absl::StrCat("is ", slots.max(), ". It must be at least resources.slots.min, ",
                                                     slots.min(), "."));
  }
  return CheckReference("resources.queue", spec.resources().queue());
}

}  // namespace

namespace {

// Defaults for a device: a micro-batch whose rows stay in a CPU's cache, or that fills a GPU; and graphs that fit its
// memory. Results depend on neither. A device that is not decided yet has none.
void FillDeviceDefaults(JobSpec& spec) {
  const muster::v1::Device device = spec.resources().device();
  if (device == muster::v1::DEVICE_AUTO) return;
  const bool gpu = device == muster::v1::DEVICE_GPU;
  auto& batch = *spec.mutable_batch();
  const auto& lengths = spec.model().max_length();
  const uint32_t longest = std::max(lengths.query(), lengths.passage());
  MUSTER_DEFAULT(batch, micro_batch_tokens, gpu ? 16384u : std::max(2048u, longest));
  MUSTER_DEFAULT(batch, keep_activations, uint64_t{gpu ? 8u : 4u} << 30);
}

void FillMiningDefaults(muster::v1::MineSpec& mine) {
  SetIfEmpty(*mine.mutable_split(), "train");
  MUSTER_DEFAULT(*mine.mutable_ranks(), first, 1);
  MUSTER_DEFAULT(*mine.mutable_ranks(), last, std::max(100u, mine.ranks().first()));
  MUSTER_DEFAULT(mine, per_query, 4);
  MUSTER_DEFAULT(mine, relative_margin, 0.95);
}

}  // namespace

void FillEnumerations(JobSpec& spec) {
  using namespace muster::v1;  // NOLINT: the enumerations' values
  if (spec.precision() == PRECISION_UNSPECIFIED) spec.set_precision(PRECISION_AUTO);
  if (spec.loss().objective() == OBJECTIVE_UNSPECIFIED) spec.mutable_loss()->set_objective(OBJECTIVE_JOINTLH);
  if (spec.loss().has_distill() && spec.loss().distill().kind() == DISTILL_KIND_UNSPECIFIED) {
    spec.mutable_loss()->mutable_distill()->set_kind(DISTILL_KIND_KL);
  }
  if (spec.optimizer().schedule() == SCHEDULE_UNSPECIFIED) spec.mutable_optimizer()->set_schedule(SCHEDULE_LINEAR);
  DataSpec& data = *spec.mutable_data();
  if (data.positives().choose() == CHOOSE_UNSPECIFIED) data.mutable_positives()->set_choose(CHOOSE_RANDOM);
  if (data.negatives().choose() == CHOOSE_UNSPECIFIED) data.mutable_negatives()->set_choose(CHOOSE_RANDOM);
  if (spec.resources().device() == DEVICE_UNSPECIFIED) spec.mutable_resources()->set_device(DEVICE_AUTO);
  if (spec.has_mine() && spec.mine().sampling() == SAMPLING_UNSPECIFIED) spec.mutable_mine()->set_sampling(SAMPLING_TOP);
}

void FillDefaults(JobSpec& spec) {
  ApplyProfile(spec);
  FillEnumerations(spec);
  auto& model = *spec.mutable_model();
  MUSTER_DEFAULT(*model.mutable_max_length(), query, 64);
  MUSTER_DEFAULT(*model.mutable_max_length(), passage, 256);
  if (!model.preset().empty()) {
    MUSTER_DEFAULT(model, normalize, true);
    if (model.pooling() == muster::v1::POOLING_UNSPECIFIED) model.set_pooling(muster::v1::POOLING_MEAN);
    MUSTER_DEFAULT(model, dropout, 0.1f);
  }
  model.mutable_prompts();
  if (model.has_lora()) {
    MUSTER_DEFAULT(*model.mutable_lora(), rank, 16);
    MUSTER_DEFAULT(*model.mutable_lora(), alpha, 32);
  }

  auto& data = *spec.mutable_data();
  FillTrainingSets(data);
  MUSTER_DEFAULT(*data.mutable_positives(), per_query, 4);
  MUSTER_DEFAULT(*data.mutable_positives(), weigh, false);
  MUSTER_DEFAULT(*data.mutable_negatives(), per_query, 0);
  FillNoise(data);

  MUSTER_DEFAULT(*spec.mutable_loss(), temperature, 0.05f);
  if (spec.loss().has_distill()) {
    MUSTER_DEFAULT(*spec.mutable_loss()->mutable_distill(), weight, 1.0f);
    MUSTER_DEFAULT(*spec.mutable_loss()->mutable_distill(), temperature, 1.0f);
    MUSTER_DEFAULT(*spec.mutable_loss()->mutable_distill(), only, false);
  }
  MUSTER_DEFAULT(*spec.mutable_batch(), queries, 32);
  FillDeviceDefaults(spec);

  auto& optimizer = *spec.mutable_optimizer();
  MUSTER_DEFAULT(optimizer, learning_rate, 2e-5);
  MUSTER_DEFAULT(optimizer, weight_decay, 0.01);
  MUSTER_DEFAULT(optimizer, warmup, 0.1);
  MUSTER_DEFAULT(optimizer, max_grad_norm, 1.0);
  MUSTER_DEFAULT(optimizer, beta1, 0.9);
  MUSTER_DEFAULT(optimizer, beta2, 0.999);
  MUSTER_DEFAULT(optimizer, epsilon, 1e-8);
  if (optimizer.layer_decay() == 1) optimizer.clear_layer_decay();
  FillStages(spec);

  if (spec.has_evaluate()) {
    auto& evaluate = *spec.mutable_evaluate();
    SetIfEmpty(*evaluate.mutable_split(), "dev");
    MUSTER_DEFAULT(evaluate, every_steps, 100);
    SetIfEmpty(*evaluate.mutable_metric(), "ndcg@10");
    if (!evaluate.ignore_identical_ids()) evaluate.clear_ignore_identical_ids();
  }
  if (spec.has_report()) {
    SetIfEmpty(*spec.mutable_report()->mutable_split(), "test");
    MUSTER_DEFAULT(*spec.mutable_report(), allow_selection_split, false);
    if (!spec.report().ignore_identical_ids()) spec.mutable_report()->clear_ignore_identical_ids();
    if (spec.report().run_depth() == 0) spec.mutable_report()->clear_run_depth();
  }

  if (spec.has_mine()) FillMiningDefaults(*spec.mutable_mine());

  auto& resources = *spec.mutable_resources();
  auto& slots = *resources.mutable_slots();
  MUSTER_DEFAULT(slots, min, slots.has_max() ? std::min(1u, slots.max()) : 1u);
  MUSTER_DEFAULT(slots, max, slots.min());
  SetIfEmpty(*resources.mutable_queue(), "default");
  MUSTER_DEFAULT(resources, priority, 0);
  MUSTER_DEFAULT(resources, threads, 0);
  MUSTER_DEFAULT(*spec.mutable_checkpoint(), every_steps, 100);
  MUSTER_DEFAULT(*spec.mutable_checkpoint(), keep, 3);
  MUSTER_DEFAULT(*spec.mutable_checkpoint(), keep_after_success, false);
  MUSTER_DEFAULT(spec, seed, 17);
}
#undef MUSTER_DEFAULT

absl::Status ValidateJobSpec(const JobSpec& spec) {
  // The specification is kept forever, and every list of jobs carries it.
  if (spec.ByteSizeLong() > kMaxSpecBytes) {
    return Wrong("job", absl::StrCat("has ", spec.ByteSizeLong(), " bytes, at most ", kMaxSpecBytes,
                                     " are taken. Shorten model.prompts or data.positives.sources."));
  }
  RETURN_IF_ERROR(CheckEnumerations("", spec));
  RETURN_IF_ERROR(CheckNumbers(spec));
  RETURN_IF_ERROR(CheckReference("name", spec.name()));
  RETURN_IF_ERROR(CheckProfile(spec));
  RETURN_IF_ERROR(CheckModel(spec.model()));
  if (spec.duration().length_case() == muster::v1::DurationSpec::LENGTH_NOT_SET && spec.stages().empty()) {
    return Wrong("duration", "is missing. Give duration.epochs or duration.steps.");
  }
  RETURN_IF_ERROR(CheckStages(spec));
  RETURN_IF_ERROR(CheckLoss(spec.loss()));
  RETURN_IF_ERROR(CheckData(spec));
  RETURN_IF_ERROR(CheckBatch(spec));
  RETURN_IF_ERROR(CheckEvaluation(spec));
  RETURN_IF_ERROR(CheckTrace(spec));
  return CheckResources(spec);
}

absl::Status CheckMatryoshka(const muster::v1::LossSpec& loss, uint32_t embedding_size) {
  const auto& sizes = loss.matryoshka_dimensions();
  if (sizes.empty() || embedding_size == 0) return absl::OkStatus();
  const uint32_t largest = *std::max_element(sizes.begin(), sizes.end());
  if (largest == embedding_size) return absl::OkStatus();
  const std::string model = absl::StrCat("the model has ", embedding_size, " numbers per embedding");
  if (largest > embedding_size) {
    return Wrong("loss.matryoshka_dimensions", absl::StrCat(largest, ": ", model, ". Name sizes up to that one."));
  }
  return Wrong("loss.matryoshka_dimensions",
               absl::StrCat("the largest is ", largest, ", and ", model, ": numbers beyond ", largest,
                            " would not be trained. Add ", embedding_size, "."));
}

bool EvaluatesOnly(const JobSpec& spec) {
  return spec.duration().length_case() == muster::v1::DurationSpec::kSteps && spec.duration().steps() == 0;
}

bool MinesOnly(const JobSpec& spec) { return EvaluatesOnly(spec) && spec.has_mine(); }

bool ExportsOnly(const JobSpec& spec) { return EvaluatesOnly(spec) && !spec.has_report() && !spec.has_mine(); }

}  // namespace muster
