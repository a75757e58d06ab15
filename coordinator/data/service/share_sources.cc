#include "coordinator/data/service/share_sources.h"

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/spec/training_sets.h"
#include "common/status.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/plan/sequences.h"

namespace muster {
namespace {

// The key of a dataset's tokens.
std::string TokensKey(const Dataset& dataset, const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved) {
  return absl::StrCat(dataset.digest(), " ", resolved.tokenizer(), " ", resolved.has_prompts(), " ",
                      DeterministicBytes(PromptsOf(spec.model(), resolved)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TokenStore>> ShareSources::Tokens(std::shared_ptr<const Dataset> dataset,
                                                                       const muster::v1::JobSpec& spec,
                                                                       const muster::v1::ResolvedJob& resolved,
                                                                       const GiveUp& give_up) {
  // Stores of jobs that differ only in prompts that need not be joined are the same file, mapped twice.
  const std::string key = TokensKey(*dataset, spec, resolved);
  const auto build = [this, dataset, spec, resolved]() -> absl::StatusOr<std::shared_ptr<const TokenStore>> {
    ASSIGN_OR_RETURN(const auto files, ReadManifestBlob(*stores_.blobs, resolved.tokenizer_manifest()));
    ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(*stores_.blobs, files, resolved.tokenizer()));
    spdlog::info("tokens of dataset {} for tokenizer {}: opening", dataset->digest().substr(0, 12),
                 resolved.tokenizer().substr(0, 12));
    const JoinedPrompts prompts = PromptsToJoin(*tokenizer, spec.model(), resolved);
    return TokenStore::OpenOrBuild(*dataset, tokenizer, prompts, stores_.state->tokens(), [](double share_done) {
      spdlog::debug("tokenizing: {:.0f} %", share_done * 100);
    });
  };
  return tokens_.Get(key, build, give_up);
}

absl::StatusOr<std::shared_ptr<ShareSource>> ShareSources::Source(const muster::v1::JobSpec& spec,
                                                                  const muster::v1::ResolvedJob& resolved,
                                                                  const GiveUp& give_up) {
  const std::vector<std::string> digests = TrainingDatasetsOf(resolved);
  if (digests.empty()) {
    return absl::InvalidArgumentError("the job trains nothing (duration.steps is 0): there are no steps to stream");
  }
  std::vector<std::shared_ptr<const Dataset>> datasets;
  std::vector<std::shared_ptr<const TokenStore>> tokens;
  for (const std::string& digest : digests) {
    ASSIGN_OR_RETURN(datasets.emplace_back(), stores_.shelf->Open(digest));
    ASSIGN_OR_RETURN(tokens.emplace_back(), Tokens(datasets.back(), spec, resolved, give_up));
  }
  const std::string key = Sha256Hex(absl::StrCat(DeterministicBytes(spec), "\n", DeterministicBytes(resolved)));
  const auto create = [this, datasets, tokens, spec, resolved] {
    return ShareSource::Create({.train = datasets,
                                .tokens = tokens,
                                .spec = spec,
                                .resolved = resolved,
                                .clock = &clock_,
                                .on_plan = on_plan_});
  };
  return sources_.Get(key, create, give_up);
}

absl::StatusOr<std::shared_ptr<const EvaluationSource>> ShareSources::Evaluation(
    std::shared_ptr<const Dataset> dataset, uint32_t split, const muster::v1::JobSpec& spec,
    const muster::v1::ResolvedJob& resolved, uint32_t world_size, const GiveUp& give_up) {
  ASSIGN_OR_RETURN(const auto tokens, Tokens(dataset, spec, resolved, give_up));
  const auto number = [dataset] { return std::make_shared<const DocumentNumbering>(NumberDocuments(*dataset)); };
  ASSIGN_OR_RETURN(const auto numbering, numberings_.Get(dataset->digest(), number, give_up));
  // The parts of a job that decide lengths and cuts. Jobs that train on different data can share an evaluation.
  const std::string key = Sha256Hex(absl::StrCat(split, " ", world_size, " ", spec.batch().micro_batch_tokens(), " ",
                                                 resolved.exclude_prompt(), " ", DeterministicBytes(spec.model()), "\n",
                                                 TokensKey(*dataset, spec, resolved)));
  const auto create = [=] {
    return EvaluationSource::Create({.dataset = dataset,
                                     .numbering = numbering,
                                     .tokens = tokens,
                                     .split = split,
                                     .spec = spec,
                                     .resolved = resolved,
                                     .world_size = world_size});
  };
  return evaluations_.Get(key, create, give_up);
}

}  // namespace muster
