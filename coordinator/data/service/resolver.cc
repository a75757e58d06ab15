#include "coordinator/data/service/resolver.h"

#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/model/families/family.h"
#include "common/model/hf_config.h"
#include "common/model/parts.h"
#include "common/spec/job_source.h"
#include "common/spec/job_spec.h"
#include "common/spec/profiles.h"
#include "common/spec/stages.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/plan/negatives.h"
#include "coordinator/data/plan/share_source.h"
#include "coordinator/data/plan/step_plan.h"
#include "coordinator/data/plan/teacher_lists.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/store/judgment_table.h"
#include "common/nearest_name.h"

namespace muster {
namespace {

using muster::v1::FileManifest;
using muster::v1::JobSpec;
using muster::v1::ResolvedJob;

absl::Status Wrong(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

absl::StatusOr<std::shared_ptr<const Dataset>> OpenByName(DataStores& stores, const std::string& name,
                                                          absl::string_view field) {
  const auto entry = stores.catalogue->GetDataset(name);
  if (!entry.ok()) return WithContext(entry.status(), ToStd(field));
  auto dataset = stores.shelf->Open(entry->digest());
  if (!dataset.ok()) return WithContext(dataset.status(), ToStd(field));
  return dataset;
}

absl::StatusOr<uint32_t> SplitIndex(const Dataset& dataset, const std::string& name, const std::string& split,
                                    absl::string_view field) {
  const auto found = std::find(dataset.splits().begin(), dataset.splits().end(), split);
  if (found != dataset.splits().end()) return static_cast<uint32_t>(found - dataset.splits().begin());
  return Wrong(field, absl::StrCat("dataset \"", name, "\" has no split \"", split, "\". ",
                                   WhatExists(split, dataset.splits())));
}

bool HasPositive(const Dataset& dataset, uint32_t split) {
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    const auto judgments = dataset.judgments(split, query);
    if (std::any_of(judgments.begin(), judgments.end(), IsPositive)) return true;
  }
  return false;
}

// The digest of an evaluation dataset: its split must contain a relevant document.
absl::StatusOr<std::string> ResolveEvaluation(DataStores& stores, const std::string& name, const std::string& split,
                                              absl::string_view section) {
  ASSIGN_OR_RETURN(const auto dataset, OpenByName(stores, name, absl::StrCat(section, ".dataset")));
  const std::string field = absl::StrCat(section, ".split");
  ASSIGN_OR_RETURN(const uint32_t index, SplitIndex(*dataset, name, split, field));
  if (HasPositive(*dataset, index)) return dataset->digest();
  return Wrong(field, absl::StrCat("no query of split \"", split, "\" has a positive. Choose another split."));
}

// The name of what mining makes is free, or it is that of the mined dataset and its owner asks. It is checked again when
// the dataset is published.
absl::Status CheckMinedName(DataStores& stores, const muster::v1::MineSpec& mine, const std::string& owner) {
  const auto existing = stores.catalogue->GetDataset(mine.out());
  if (absl::IsNotFound(existing.status())) return absl::OkStatus();
  RETURN_IF_ERROR(existing.status());
  if (mine.out() != mine.dataset()) {
    return Wrong("mine.out", absl::StrCat("dataset \"", mine.out(), "\" exists: ", Describe(*existing),
                                          ". Choose another name, or remove it with muster data rm ", mine.out(), "."));
  }
  if (owner.empty()) return absl::OkStatus();
  return WithContext(CheckOwner({Role::kSubmitter, owner}, *existing), "mine.out");
}

absl::StatusOr<std::string> ResolveMining(DataStores& stores, const muster::v1::MineSpec& mine, const std::string& owner) {
  ASSIGN_OR_RETURN(std::string digest, ResolveEvaluation(stores, mine.dataset(), mine.split(), "mine"));
  RETURN_IF_ERROR(CheckMinedName(stores, mine, owner));
  return digest;
}

// Without a negative every objective's loss is 0 and nothing is trained, except that the joint likelihoods even out the
// scores of a query's several positives.
absl::Status CheckNegatives(const Dataset& dataset, uint32_t split, const JobSpec& spec, const JobSpec& given,
                            std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(const ChoiceRules rules, MakeChoiceRules(dataset, spec));
  const std::vector<uint32_t> queries = SelectableQueries(dataset, split, rules);
  const uint64_t unused =
      rules.negatives_per_query == 0 ? CountHardNegatives(dataset, split, rules, queries) : 0;
  if (unused > 0 && !given.data().negatives().has_per_query()) {
    notes.push_back(absl::StrCat("data.negatives.per_query: is left out, so the ", unused, " hard negatives of split \"",
                                 spec.data().split(), "\" are not used. Set it to use them, or to 0 to leave them out."));
  }
  if (spec.loss().distill().only()) return absl::OkStatus();  // a teacher needs none
  if (MayHaveNegatives(dataset, split, rules, queries, spec.batch().queries())) return absl::OkStatus();
  const char* remedy = unused > 0                    ? "Set data.negatives.per_query to use the hard negatives of the data."
                       : spec.batch().queries() == 1 ? "Raise batch.queries, or import hard negatives and set "
                                                       "data.negatives.per_query."
                                                     : "Import more passages, or hard negatives, and set "
                                                       "data.negatives.per_query.";
  const std::string fact = absl::StrCat("no query of split \"", spec.data().split(),
                                        "\" ever has a negative: all passages of every batch are relevant to it");
  const bool joint = spec.loss().objective() == muster::v1::OBJECTIVE_JOINTLH ||
                     spec.loss().objective() == muster::v1::OBJECTIVE_JOINTLH_SUM;
  if (joint && MayBringSeveralPositives(dataset, split, rules, queries)) {
    notes.push_back(absl::StrCat("data.train: ", fact,
                                 ", so training only evens out the scores of its positives. ", remedy));
    return absl::OkStatus();
  }
  return Wrong("data.train", absl::StrCat(fact, ", so the loss would be 0 at every step. ", remedy));
}

// Without a list that says something, loss.distill would have no effect.
absl::Status CheckTeacher(const Dataset& dataset, uint32_t split, const JobSpec& spec, std::vector<std::string>& notes) {
  if (!spec.loss().has_distill()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const ChoiceRules rules, MakeChoiceRules(dataset, spec));
  const std::vector<uint32_t> queries = SelectableQueries(dataset, split, rules);
  const TeacherListCounts counts = CountTeacherLists(dataset, split, rules, queries, spec.loss().distill().kind());
  const std::string of_split = absl::StrCat(" of split \"", spec.data().split(), "\"");
  if (counts.scores == 0) {
    return Wrong("loss.distill", absl::StrCat("no judgment", of_split, " has a teacher's score. Import data with scores "
                                              "(docs/reference/data-schemas.md), or remove loss.distill."));
  }
  const bool margins = spec.loss().distill().kind() == muster::v1::DISTILL_KIND_MARGIN_MSE;
  const char* list = margins ? "a positive and another passage that a teacher scored" : "two passages that a teacher scored";
  if (counts.queries == 0) {
    return Wrong("loss.distill", absl::StrCat("no query", of_split, " brings ", list, " to a step. ",
                                              rules.negatives_per_query == 0 ? "Set data.negatives.per_query."
                                                                             : "Import data with more scores."));
  }
  if (counts.queries < queries.size()) {
    notes.push_back(absl::StrCat("loss.distill: ", counts.queries, " of ", queries.size(), " queries", of_split, " can bring ",
                                 list, ". The others ",
                                 spec.loss().distill().only() ? "add nothing to the loss." : "have the objective alone."));
  }
  return absl::OkStatus();
}

// Caches the result, so that equal requests walk the split's judgments once.
absl::StatusOr<std::shared_ptr<const TrainingFacts>> FactsOf(DataStores& stores, std::shared_ptr<const Dataset> dataset,
                                                             uint32_t split, const JobSpec& spec, const JobSpec& given) {
  const auto walk = [&]() -> absl::StatusOr<std::shared_ptr<const TrainingFacts>> {
    TrainingFacts facts{.queries = TrainQueries(*dataset, split, spec.data())};
    if (facts.queries == 0) {
      return Wrong("data.split", absl::StrCat("no query of split \"", spec.data().split(), "\" of dataset \"",
                                              spec.data().train(), "\" has a positive that may be chosen. Choose "
                                              "another split, or change positives.sources or positives.min_grade."));
    }
    RETURN_IF_ERROR(CheckNegatives(*dataset, split, spec, given, facts.notes));
    RETURN_IF_ERROR(CheckTeacher(*dataset, split, spec, facts.notes));
    return std::make_shared<const TrainingFacts>(std::move(facts));
  };
  const std::string key = Sha256Hex(absl::StrCat(dataset->digest(), " ", split, " ", spec.batch().queries(), " ",
                                                 spec.loss().objective(), " ",
                                                 given.data().negatives().has_per_query(), " ",
                                                 spec.loss().has_distill(), " ",
                                                 DeterministicBytes(spec.loss().distill()), "\n",
                                                 DeterministicBytes(spec.data())));
  return stores.facts.Get(key, walk, [] { return absl::OkStatus(); });
}

// `spec` is a job without stages, or the separate job that trains as one of the stages does (SpecOfStage).
absl::StatusOr<muster::v1::ResolvedStage> ResolveStage(DataStores& stores, std::shared_ptr<const Dataset> dataset,
                                                       const JobSpec& spec, const JobSpec& given,
                                                       std::vector<std::string>& notes) {
  const std::string& name = spec.data().train();
  ASSIGN_OR_RETURN(const uint32_t split, SplitIndex(*dataset, name, spec.data().split(), "data.split"));
  for (const std::string& source : spec.data().positives().sources()) {
    const auto& sources = dataset->sources();
    if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
      return Wrong("data.positives.sources", absl::StrCat("dataset \"", name, "\" has no judgments of source \"",
                                                          source, "\". ", WhatExists(source, sources)));
    }
  }
  ASSIGN_OR_RETURN(const auto facts, FactsOf(stores, dataset, split, spec, given));
  notes.insert(notes.end(), facts->notes.begin(), facts->notes.end());
  muster::v1::ResolvedStage stage;
  stage.set_train_queries(facts->queries);
  stage.set_steps_per_epoch(StepsPerEpoch(facts->queries, std::max<uint64_t>(1, spec.batch().queries())));
  stage.set_steps(spec.duration().has_steps() ? spec.duration().steps() : stage.steps_per_epoch() * spec.duration().epochs());
  return stage;
}

absl::Status ResolveTraining(DataStores& stores, const JobSpec& spec, const JobSpec& given, ResolvedJob& resolved,
                             std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(const auto dataset, OpenByName(stores, spec.data().train(), "data.train"));
  resolved.set_train_dataset(dataset->digest());
  uint64_t steps = 0;
  for (int i = 0; i < std::max(1, spec.stages_size()); ++i) {
    const std::string context = spec.stages().empty() ? "" : absl::StrCat("stages[", i, "]");
    std::vector<std::string> own_notes;
    const auto stage = ResolveStage(stores, dataset, SpecOfStage(spec, i), given, own_notes);
    if (!stage.ok()) return context.empty() ? stage.status() : WithContext(stage.status(), context);
    for (const std::string& note : own_notes) notes.push_back(absl::StrCat(context, context.empty() ? "" : ": ", note));
    if (i == 0) {
      resolved.set_train_queries(stage->train_queries());
      resolved.set_steps_per_epoch(stage->steps_per_epoch());
    }
    if (!context.empty()) *resolved.add_stages() = *stage;
    steps += stage->steps();
  }
  resolved.set_total_steps(steps);
  return absl::OkStatus();
}

struct ResolvedModel {
  FileManifest tokenizer;  // files from which to read the tokenizer
  std::optional<FileManifest> model;  // for a checkpoint: the folder from which the chain's first job trained
};

// Resolves a checkpoint of another job.
absl::StatusOr<ResolvedModel> FindCheckpoint(DataStores& stores, const muster::internal::v1::ResolveRequest& request,
                                             ResolvedJob& resolved) {
  *resolved.mutable_model_checkpoint() = request.model_checkpoint();
  ResolvedModel found;
  const auto read = [&](const std::string& digest) {
    auto files = ReadManifestBlob(*stores.blobs, digest);
    if (!files.ok()) files = WithContext(files.status(), "model.from");
    return files;
  };
  ASSIGN_OR_RETURN(found.tokenizer, read(request.model_checkpoint().tokenizer_manifest()));
  if (request.job_model_manifest().empty()) return found;
  resolved.set_model_manifest(request.job_model_manifest());
  ASSIGN_OR_RETURN(found.model, read(request.job_model_manifest()));
  return found;
}

absl::StatusOr<FileManifest> ManifestOfName(DataStores& stores, const std::string& name, absl::string_view field) {
  const auto model = stores.catalogue->GetModel(name);
  if (!model.ok()) return WithContext(model.status(), ToStd(field));
  const auto files = ReadManifestBlob(*stores.blobs, model->manifest());
  if (!files.ok()) return WithContext(files.status(), ToStd(field));
  return files;
}

absl::StatusOr<ResolvedModel> FindModel(DataStores& stores, const muster::internal::v1::ResolveRequest& request,
                                        ResolvedJob& resolved) {
  const muster::v1::ModelSpec& spec = request.spec().model();
  ResolvedModel found;
  if (!spec.preset().empty()) {
    ASSIGN_OR_RETURN(found.tokenizer, ManifestOfName(stores, spec.tokenizer(), "model.tokenizer"));
    return found;
  }
  if (request.has_model_checkpoint()) return FindCheckpoint(stores, request, resolved);
  if (NamesJob(spec.from())) {
    if (request.job_model_manifest().empty()) {
      return Wrong("model.from", absl::StrCat("\"", spec.from(), "\" has exported no model yet. Wait until it ends."));
    }
    resolved.set_model_manifest(request.job_model_manifest());
    const auto files = ReadManifestBlob(*stores.blobs, request.job_model_manifest());
    if (!files.ok()) return WithContext(files.status(), "model.from");
    found.model = *files;
  } else {
    ASSIGN_OR_RETURN(found.model, ManifestOfName(stores, spec.from(), "model.from"));
    ASSIGN_OR_RETURN(const muster::v1::Model entry, stores.catalogue->GetModel(spec.from()));
    if (entry.architecture().empty()) {
      return Wrong("model.from", absl::StrCat("\"", spec.from(), "\" is only a vocabulary, without weights. Name it as "
                                              "model.tokenizer with model.preset, or push a model."));
    }
    resolved.set_model_manifest(entry.manifest());
  }
  found.tokenizer = *found.model;
  return found;
}

absl::Status CheckLengths(const JobSpec& spec, const EncoderConfig& config) {
  const auto& lengths = spec.model().max_length();
  const auto check = [&](absl::string_view field, uint32_t length) {
    if (length <= config.max_positions) return absl::OkStatus();
    return Wrong(field, absl::StrCat(length, " tokens, the model has ", config.max_positions,
                                     " positions. Use at most that many."));
  };
  RETURN_IF_ERROR(check("model.max_length.query", lengths.query()));
  return check("model.max_length.passage", lengths.passage());
}

// Parts that the specification freezes or gives rates of their own.
absl::Status CheckParts(const JobSpec& spec, EncoderConfig config) {
  const auto& model = spec.model();
  config.frozen = {model.freeze().begin(), model.freeze().end()};
  config.lora.rank = model.has_lora() ? model.lora().rank() : 0;
  config.lora.targets = {model.lora().targets().begin(), model.lora().targets().end()};
  RETURN_IF_ERROR(CheckFrozen(config));
  if (!spec.optimizer().learning_rates().has_head() || HasHead(config)) return absl::OkStatus();
  return Wrong("optimizer.learning_rates.head", "the model has nothing behind its layers. Leave it out.");
}

// The tokenizer's manifest is stored as a separate blob, because ranks read it when they write the export.
absl::StatusOr<std::string> StoreManifest(DataStores& stores, const FileManifest& files) {
  ASSIGN_OR_RETURN(const NamedManifest manifest, CanonicalManifest(files));
  RETURN_IF_ERROR(stores.blobs->PutBytes(manifest.digest, manifest.bytes));
  return manifest.digest;
}

// A model measured at other lengths than it is normally used at has other figures. A tool that takes the lengths from
// the folder would have trained at those.
void NoteOtherLength(const JobSpec& spec, const JobSpec& given, const EncoderConfig& config,
                     std::vector<std::string>& notes) {
  const auto& lengths = spec.model().max_length();
  const int64_t longest = std::max(lengths.query(), lengths.passage());
  const Profile* profile = FindProfile(spec.profile());
  const bool as_folder = profile != nullptr && profile->folder_length && !given.model().has_max_length();
  if ((!EvaluatesOnly(spec) && !as_folder) || longest == config.max_sequence_length) return;
  notes.push_back(absl::StrCat("model.max_length: queries are cut at ", lengths.query(), " tokens and passages at ",
                               lengths.passage(), ", and the model's folder says ", config.max_sequence_length,
                               EvaluatesOnly(spec) ? ". Set model.max_length to measure it as it was made."
                                                   : absl::StrCat(", where ", spec.profile(),
                                                                  " cuts. Set model.max_length to train as it does.")));
}

// The job's prompt counts, even if it is empty; otherwise that of the model's folder.
void ResolvePrompts(const JobSpec& spec, const EncoderConfig& config, ResolvedJob& resolved,
                    std::vector<std::string>& notes) {
  const auto& given = spec.model().prompts();
  resolved.mutable_prompts()->set_query(given.has_query() ? given.query() : config.prompts.query);
  resolved.mutable_prompts()->set_passage(given.has_passage() ? given.passage() : config.prompts.passage);
  const auto note = [&](absl::string_view field, bool is_given, const std::string& text) {
    if (is_given || text.empty()) return;
    notes.push_back(absl::StrCat("model.prompts.", field, ": \"", absl::CHexEscape(text), "\", as the model's folder says. "
                                 "Set it to use another one, or to \"\" for none."));
  };
  note("query", given.has_query(), resolved.prompts().query());
  note("passage", given.has_passage(), resolved.prompts().passage());
  resolved.set_exclude_prompt(spec.model().has_include_prompt() ? !spec.model().include_prompt() : config.exclude_prompt);
  if (resolved.exclude_prompt() && !spec.model().has_include_prompt()) {
    notes.push_back("model.include_prompt: false, as the model's folder says: the prompt's tokens stay out of pooling.");
  }
}

absl::Status ResolveModel(DataStores& stores, const muster::internal::v1::ResolveRequest& request, const JobSpec& given,
                          ResolvedJob& resolved, std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(const ResolvedModel found, FindModel(stores, request, resolved));
  ASSIGN_OR_RETURN(const FileManifest files, TokenizerFiles(found.tokenizer));
  ASSIGN_OR_RETURN(const std::string manifest, StoreManifest(stores, files));
  ASSIGN_OR_RETURN(const auto tokenizer,
                   stores.tokenizers.Get(manifest, [&] { return LoadTokenizer(*stores.blobs, files); },
                                         [] { return absl::OkStatus(); }));
  resolved.set_tokenizer(tokenizer->digest());
  resolved.set_vocabulary_size(tokenizer->vocabulary_size());
  const FileManifest* folder = found.model.has_value() ? &*found.model : nullptr;
  const absl::StatusOr<EncoderConfig> config =
      resolved.has_model_checkpoint()
          ? ReadConfig(*stores.blobs, resolved.model_checkpoint(), folder, stores.state->scratch())
          : ReadConfig(*stores.blobs, request.spec().model(), folder, tokenizer->vocabulary_size(), stores.state->scratch());
  const bool preset = request.spec().model().from().empty();
  if (!config.ok()) return WithContext(config.status(), preset ? "model.preset" : "model.from");
  RETURN_IF_ERROR(CheckLengths(request.spec(), *config));
  if (request.spec().model().has_lora()) {
    const auto& targets = request.spec().model().lora().targets();
    RETURN_IF_ERROR(LoraTargets(*config, {targets.begin(), targets.end()}).status());
  }
  RETURN_IF_ERROR(CheckParts(request.spec(), *config));
  if (!preset) {
    if (!ExportsOnly(request.spec())) NoteOtherLength(request.spec(), given, *config, notes);
    resolved.set_architecture(config->architecture);
  }
  resolved.set_embedding_size(config->EmbeddingSize());
  RETURN_IF_ERROR(CheckMatryoshka(request.spec().loss(), resolved.embedding_size()));
  ResolvePrompts(request.spec(), *config, resolved, notes);
  resolved.set_tokenizer_manifest(manifest);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Resolution> ResolveJob(DataStores& stores, const muster::internal::v1::ResolveRequest& request,
                                      const JobSpec& given) {
  const JobSpec& spec = request.spec();
  Resolution resolution;
  ResolvedJob& resolved = resolution.resolved;
  RETURN_IF_ERROR(ResolveModel(stores, request, given, resolved, resolution.notes));
  if (!EvaluatesOnly(spec)) RETURN_IF_ERROR(ResolveTraining(stores, spec, given, resolved, resolution.notes));
  if (spec.has_evaluate()) {
    ASSIGN_OR_RETURN(const std::string digest, ResolveEvaluation(stores, spec.evaluate().dataset(),
                                                                 spec.evaluate().split(), "evaluate"));
    resolved.set_evaluate_dataset(digest);
  }
  if (spec.has_report()) {
    ASSIGN_OR_RETURN(const std::string digest,
                     ResolveEvaluation(stores, spec.report().dataset(), spec.report().split(), "report"));
    resolved.set_report_dataset(digest);
  }
  if (spec.has_mine()) {
    ASSIGN_OR_RETURN(*resolved.mutable_mine_dataset(), ResolveMining(stores, spec.mine(), request.owner()));
  }
  // The coordinator stores the job right after this. Until it reports what the job needs, everything resolved counts as just
  // used.
  std::vector<std::string> used = {resolved.model_manifest(), resolved.tokenizer_manifest()};
  for (const auto* link = resolved.has_model_checkpoint() ? &resolved.model_checkpoint() : nullptr; link != nullptr;
       link = link->has_base() ? &link->base() : nullptr) {
    used.insert(used.end(), {link->manifest(), link->tokenizer_manifest()});
  }
  for (const std::string& manifest : used) {
    if (!manifest.empty()) RETURN_IF_ERROR(TouchManifest(stores, manifest));
  }
  return resolution;
}

}  // namespace muster
