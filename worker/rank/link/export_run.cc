#include "worker/rank/link/export_run.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <algorithm>
#include <cctype>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/label_noise.h"
#include "common/spec/stages.h"
#include "common/spec/training_sets.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::Evaluation;

std::string Number(double value) { return absl::StrCat(value); }

// "400", or "120 of 400: ndcg@10 was not better than at step 60 in 3 evaluations"
std::string Steps(uint64_t total, const std::optional<muster::internal::v1::StoppedEarly>& stopped) {
  if (!stopped.has_value()) return absl::StrCat(total);
  return absl::StrCat(stopped->step(), " of ", total, ": ", stopped->metric(), " was not better than at step ",
                      stopped->best_step(), " in ", stopped->patience(), stopped->patience() == 1 ? " evaluation" : " evaluations");
}

ModelCard CardFor(const muster::rank::v1::RankConfig& config, const std::optional<Evaluation>& untrained,
                  const std::optional<Evaluation>& trained,
                  const std::optional<muster::internal::v1::StoppedEarly>& stopped) {
  const muster::v1::JobSpec& spec = config.spec();
  ModelCard card{.title = spec.name(),
                 .base_model = spec.model().from(),
                 .query_tokens = spec.model().max_length().query(),
                 .passage_tokens = spec.model().max_length().passage()};
  for (const muster::v1::TrainingSet& set : TrainingSetsOf(spec.data())) {
    card.data.push_back({"training set", absl::StrCat(set.dataset(), " (", set.split(), ")")});
    if (set.weight() != 1) absl::StrAppend(&card.data.back().second, ", weight ", Number(set.weight()));
  }
  card.data.insert(card.data.end(), {{"queries", absl::StrCat(config.resolved().train_queries())},
                                     {"positives per query", absl::StrCat(spec.data().positives().per_query())},
                                     {"negatives per query", absl::StrCat(spec.data().negatives().per_query())}});
  if (spec.data().homogeneous_batches()) card.data.push_back({"batches", "each of one training set"});
  if (const std::string noise = NoiseText(spec.data()); !noise.empty()) card.data.push_back({"label noise", noise});
  std::string objective = muster::v1::Objective_Name(spec.loss().objective()).substr(sizeof("OBJECTIVE_") - 1);
  std::transform(objective.begin(), objective.end(), objective.begin(), [](unsigned char c) { return std::tolower(c); });
  card.settings = {{"objective", objective},
                   {"temperature", Number(spec.loss().temperature())},
                   {"queries per step", absl::StrCat(spec.batch().queries())},
                   {"learning rate", Number(spec.optimizer().learning_rate())},
                   {"steps", Steps(config.resolved().total_steps(), stopped)},
                   {"seed", absl::StrCat(spec.seed())}};
  if (!spec.stages().empty()) card.settings.push_back({"stages", StagesText(spec)});
  if (spec.loss().has_false_negatives()) {
    card.settings.push_back({"margin of false negatives", Number(spec.loss().false_negatives().margin())});
  }
  if (const auto& distill = spec.loss().distill(); spec.loss().has_distill()) {
    std::string kind = muster::v1::DistillKind_Name(distill.kind()).substr(sizeof("DISTILL_KIND_") - 1);
    std::transform(kind.begin(), kind.end(), kind.begin(), [](unsigned char c) { return std::tolower(c); });
    card.settings.push_back({"distillation", absl::StrCat(kind, ", weight ", Number(distill.weight()), ", temperature ",
                                                          Number(distill.temperature()),
                                                          distill.only() ? ", without the objective" : "")});
  }
  if (!spec.loss().matryoshka_dimensions().empty()) {
    card.settings.push_back({"matryoshka dimensions", absl::StrJoin(spec.loss().matryoshka_dimensions(), ", ")});
  }
  if (spec.model().has_lora()) {
    card.settings.push_back({"low-rank adaptation", absl::StrCat("rank ", spec.model().lora().rank(), ", alpha ", Number(spec.model().lora().alpha()))});
  }
  const char* ids = spec.report().ignore_identical_ids() ? ", without the document of the query's id" : "";
  for (const auto* evaluation : {&untrained, &trained}) {
    if (!evaluation->has_value()) continue;
    const Evaluation& e = **evaluation;
    card.scores.push_back({e.label(), absl::StrCat(e.dataset(), " (", e.split(), ids, ")"),
                           {e.metrics().begin(), e.metrics().end()}});
  }
  return card;
}

// Two sequences of different lengths, of any vocabulary.
PackedBatch Probe(const EncoderConfig& config) {
  const int64_t longer = std::min<int64_t>({16, config.max_sequence_length, config.vocabulary_size});
  const int64_t shorter = (longer + 1) / 2;
  return {.tokens = at::arange(shorter + longer, at::kLong) % longer, .lengths = {shorter, longer}, .slots = {0, 1}};
}

}  // namespace

absl::Status ExportEncoder(const Encoder& trained, ExportOptions options) {
  const std::unique_ptr<Encoder> merged = trained.fixed().empty() ? nullptr : trained.Merged();
  const Encoder& encoder = merged == nullptr ? trained : *merged;
  options.probe = Probe(encoder.config());
  return ExportFolder(encoder, options);
}

absl::StatusOr<std::string> ExportModel(const muster::rank::v1::RankConfig& config, const Encoder& encoder,
                                        const std::filesystem::path& tokenizer,
                                        const std::optional<Evaluation>& untrained,
                                        const std::optional<Evaluation>& trained,
                                        const std::optional<muster::internal::v1::StoppedEarly>& stopped,
                                        BlobClient& blobs) {
  const std::filesystem::path folder = std::filesystem::path(config.scratch()) / "export";
  // Jobs that were resolved before prompts were kept use those of the specification.
  const auto& prompts = config.resolved().has_prompts() ? config.resolved().prompts() : config.spec().model().prompts();
  RETURN_IF_ERROR(WithContext(ExportEncoder(encoder, {.folder = folder,
                                                      .tokenizer = tokenizer,
                                                      .query_prompt = prompts.query(),
                                                      .passage_prompt = prompts.passage(),
                                                      .probe = {},
                                                      .card = CardFor(config, untrained, trained, stopped)}),
                              "export"));
  ASSIGN_OR_RETURN(const auto manifest, blobs.PutFolder(folder));
  return blobs.PutManifest(manifest);
}

absl::Status StoreModel(const muster::rank::v1::RankConfig& config, const std::filesystem::path& folder, BlobClient& blobs,
                        AgentPipe& agent, Group& group) {
  if (config.rank() == 0) {
    ASSIGN_OR_RETURN(const auto files, blobs.PutFolder(folder));
    muster::rank::v1::RankMessage message;
    ASSIGN_OR_RETURN(*message.mutable_exported()->mutable_manifest(), blobs.PutManifest(files));
    RETURN_IF_ERROR(agent.Send(message));
  }
  // The job succeeds with the other ranks only if the model is stored.
  const absl::Status together = group.Barrier();
  return config.rank() == 0 ? absl::OkStatus() : together;
}

}  // namespace muster
