#include "coordinator/data/service/preview.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/model/families/family.h"
#include "common/model/parts.h"
#include "common/spec/job_spec.h"
#include "common/spec/training_sets.h"
#include "common/status.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/plan/job_plan.h"
#include "coordinator/data/plan/step_sample.h"
#include "coordinator/data/tokenize/token_store.h"

namespace muster {
namespace {

using muster::v1::JobSpec;
using muster::v1::ResolvedJob;
using muster::v1::TrainingPreview;

constexpr size_t kMostSteps = 16, kMostTexts = 20000;

// The embeddings of all ranks as gathered, and sorted by slot; then the gradients of the sorted ones.
constexpr uint64_t kCopiesOfEmbeddings = 3;

absl::StatusOr<EncoderConfig> ConfigOf(DataStores& stores, const JobSpec& spec, const ResolvedJob& resolved) {
  std::optional<muster::v1::FileManifest> model;
  if (!resolved.model_manifest().empty()) {
    ASSIGN_OR_RETURN(model, ReadManifestBlob(*stores.blobs, resolved.model_manifest()));
  }
  if (resolved.has_model_checkpoint()) {
    return ReadConfig(*stores.blobs, resolved.model_checkpoint(), model.has_value() ? &*model : nullptr, stores.state->scratch());
  }
  return ReadConfig(*stores.blobs, spec.model(), model.has_value() ? &*model : nullptr, resolved.vocabulary_size(),
                    stores.state->scratch());
}

// Measures the sample and returns the largest number of sequences in a step.
absl::StatusOr<uint64_t> MeasureSteps(DataStores& stores, const muster::internal::v1::PreviewRequest& request,
                                      TrainingPreview& preview) {
  const ResolvedJob& resolved = request.resolved();
  std::vector<std::shared_ptr<const Dataset>> held;
  std::vector<const Dataset*> datasets;
  for (const std::string& digest : TrainingDatasetsOf(resolved)) {
    ASSIGN_OR_RETURN(held.emplace_back(), stores.shelf->Open(digest));
    datasets.push_back(held.back().get());
  }
  ASSIGN_OR_RETURN(const JobPlan job, MakeJobPlan(datasets, request.spec(), resolved));
  const auto has_steps = [](const TrainingInputs& stage) { return stage.DrawsPerEpoch() > 0 && stage.batch > 0; };
  if (resolved.total_steps() == 0 || !std::ranges::all_of(job.inputs, has_steps)) {
    return absl::InvalidArgumentError("preview: the job has no step");
  }
  const StepSample sample = SampleSteps(job, resolved.total_steps(), kMostSteps, kMostTexts);
  const SampledTexts texts(*job.inputs[0].texts, sample);
  ASSIGN_OR_RETURN(const auto files, ReadManifestBlob(*stores.blobs, resolved.tokenizer_manifest()));
  ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(*stores.blobs, files));
  ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make(stores.state->scratch(), "preview"));
  ASSIGN_OR_RETURN(const auto tokens, TokenStore::OpenOrBuild(texts, tokenizer, PromptsToJoin(*tokenizer, request.spec().model(), resolved),
                                                             folder.path(), {}));
  muster::v1::ModelSpec model = request.spec().model();
  ASSIGN_OR_RETURN(const Sequences cut, Sequences::Create(*tokens, model, resolved));
  model.mutable_max_length()->set_query(std::numeric_limits<int32_t>::max());
  model.mutable_max_length()->set_passage(std::numeric_limits<int32_t>::max());
  ASSIGN_OR_RETURN(const Sequences whole, Sequences::Create(*tokens, model, resolved));
  return MeasureSample(sample, cut, whole, preview);
}

}  // namespace

absl::StatusOr<uint64_t> EstimateBytesPerRank(const EncoderConfig& config, const JobSpec& spec,
                                              uint32_t embedding_size, uint64_t sequences) {
  const bool adapted = spec.model().has_lora();
  uint64_t parameters = 0, frozen = 0, adapters = 0;
  EncoderConfig trained = config;
  trained.frozen = {spec.model().freeze().begin(), spec.model().freeze().end()};
  for (const TensorShape& tensor : EncoderTensors(config)) {
    uint64_t numbers = 1;
    for (const int64_t size : tensor.shape) numbers *= static_cast<uint64_t>(size);
    parameters += numbers;
    if (IsFrozen(trained, tensor.name)) frozen += numbers;
  }
  if (adapted) {
    const auto& names = spec.model().lora().targets();
    ASSIGN_OR_RETURN(const auto targets, LoraTargets(config, {names.begin(), names.end()}));
    for (const TensorShape& target : targets) {
      if (IsFrozen(trained, target.name)) continue;
      adapters += spec.model().lora().rank() * static_cast<uint64_t>(target.shape[0] + target.shape[1]);
    }
  }
  // float32: a weight, its gradient and two moments. Frozen parameters have only weights; with low-rank adaptation those are
  // all except the adapters.
  const uint64_t weights = adapted ? 4 * parameters + 16 * adapters : 16 * (parameters - frozen) + 4 * frozen;
  return weights + spec.batch().keep_activations() + kCopiesOfEmbeddings * 4 * sequences * embedding_size;
}

absl::StatusOr<TrainingPreview> PreviewTraining(DataStores& stores,
                                                const muster::internal::v1::PreviewRequest& request) {
  const ResolvedJob& resolved = request.resolved();
  TrainingPreview preview;
  preview.set_train_queries(resolved.train_queries());
  preview.set_steps_per_epoch(resolved.steps_per_epoch());
  preview.set_total_steps(resolved.total_steps());
  if (EvaluatesOnly(request.spec())) return preview;
  ASSIGN_OR_RETURN(const uint64_t sequences, MeasureSteps(stores, request, preview));
  ASSIGN_OR_RETURN(const EncoderConfig config, ConfigOf(stores, request.spec(), resolved));
  const uint32_t size =
      resolved.embedding_size() > 0 ? resolved.embedding_size() : static_cast<uint32_t>(config.EmbeddingSize());
  ASSIGN_OR_RETURN(const uint64_t bytes, EstimateBytesPerRank(config, request.spec(), size, sequences));
  preview.set_bytes_per_rank(bytes);
  return preview;
}

}  // namespace muster
