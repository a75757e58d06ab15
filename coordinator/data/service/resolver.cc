#include "coordinator/data/service/resolver.h"

#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/model/families/family.h"
#include "common/model/hf_config.h"
#include "common/model/parts.h"
#include "common/spec/job_source.h"
#include "common/spec/job_spec.h"
#include "common/spec/profiles.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/service/resolve_data.h"

namespace muster {
namespace {

using muster::v1::FileManifest;
using muster::v1::JobSpec;
using muster::v1::ResolvedJob;

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
      return WrongField("model.from", absl::StrCat("\"", spec.from(), "\" has exported no model yet. Wait until it ends."));
    }
    resolved.set_model_manifest(request.job_model_manifest());
    const auto files = ReadManifestBlob(*stores.blobs, request.job_model_manifest());
    if (!files.ok()) return WithContext(files.status(), "model.from");
    found.model = *files;
  } else {
    ASSIGN_OR_RETURN(found.model, ManifestOfName(stores, spec.from(), "model.from"));
    ASSIGN_OR_RETURN(const muster::v1::Model entry, stores.catalogue->GetModel(spec.from()));
    if (entry.architecture().empty()) {
      return WrongField("model.from", absl::StrCat("\"", spec.from(), "\" is only a vocabulary, without weights. Name it as "
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
    return WrongField(field, absl::StrCat(length, " tokens, the model has ", config.max_positions,
                                          " positions. Use at most that many."));
  };
  RETURN_IF_ERROR(check("model.max_length.query", lengths.query()));
  return check("model.max_length.passage", lengths.passage());
}

// Parts that the specification freezes or gives separate rates.
absl::Status CheckParts(const JobSpec& spec, EncoderConfig config) {
  const auto& model = spec.model();
  config.frozen = {model.freeze().begin(), model.freeze().end()};
  config.lora.rank = model.has_lora() ? model.lora().rank() : 0;
  config.lora.targets = {model.lora().targets().begin(), model.lora().targets().end()};
  RETURN_IF_ERROR(CheckFrozen(config));
  if (!spec.optimizer().learning_rates().has_head() || HasHead(config)) return absl::OkStatus();
  return WrongField("optimizer.learning_rates.head", "the model has nothing behind its layers. Leave it out.");
}

// The tokenizer's manifest is stored as a separate blob, because ranks read it when they write the export.
absl::StatusOr<std::string> StoreManifest(DataStores& stores, const FileManifest& files) {
  ASSIGN_OR_RETURN(const NamedManifest manifest, CanonicalManifest(files));
  RETURN_IF_ERROR(stores.blobs->PutBytes(manifest.digest, manifest.bytes));
  return manifest.digest;
}

// A model measured at unusual lengths gives different figures. A tool that takes the lengths from the folder would have
// trained at those.
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
