#include "worker/rank/export/export.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/folder_files.h"
#include "common/model/tokenizer_json.h"
#include "common/status.h"
#include "worker/rank/export/folder_files.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 1e-6;

// The tokenizer's files unchanged, except for the length at which texts are cut.
absl::Status WriteTokenizer(const EncoderConfig& config, const fs::path& from, const fs::path& to) {
  std::map<std::string, std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file(error) || !IsTokenizerFile(name)) continue;
    ASSIGN_OR_RETURN(files[name], ReadFile(entry.path()));
  }
  if (error) return absl::ErrnoToStatus(error.value(), from.string());
  if (const auto whole = files.find("tokenizer.json"); whole != files.end()) {
    ASSIGN_OR_RETURN(whole->second, UntruncatedTokenizer(whole->second));
  }
  // transformers cannot infer the tokenizer if there is only a vocabulary; it finds others by the model's type.
  const bool alone = files.contains("vocab.txt") && !files.contains("tokenizer.json");
  if (alone) files.emplace("special_tokens_map.json", SpecialTokensMap());
  const auto [settings, made] = files.emplace("tokenizer_config.json", alone ? TokenizerConfig(config) : "{}");
  ASSIGN_OR_RETURN(settings->second, TokenizerConfigWithLength(settings->second, config.max_sequence_length));
  for (const auto& [name, bytes] : files) RETURN_IF_ERROR(WriteFileAtomically(to / name, bytes));
  return absl::OkStatus();
}

// The encoder's weights under the family's names, and those of Dense modules in their folders.
absl::Status WriteWeights(const Encoder& encoder, const fs::path& to) {
  const EncoderConfig& config = encoder.config();
  std::vector<Parameter> weights;
  std::map<std::string, std::vector<Parameter>> dense;
  for (const Parameter& parameter : encoder.parameters()) {
    Parameter written = {parameter.name, parameter.value.detach().to(at::kFloat)};
    const auto module = std::ranges::find_if(config.dense, [&](const DenseModule& candidate) {
      return written.name.starts_with(candidate.folder + ".");
    });
    if (module == config.dense.end()) {
      weights.push_back(std::move(written));
    } else {
      written.name = written.name.substr(module->folder.size() + 1);
      dense[module->folder].push_back(std::move(written));
    }
  }
  for (const auto& [folder, tensors] : dense) {
    RETURN_IF_ERROR(WriteSafetensors(to / folder / "model.safetensors", tensors));
  }
  return WriteSafetensors(to / "model.safetensors", weights);
}

absl::Status WriteFolder(const Encoder& encoder, const ExportOptions& options, const fs::path& to) {
  for (const auto& [path, bytes] : FolderFiles(encoder.config(), options)) {
    RETURN_IF_ERROR(MakeFolders((to / path).parent_path()));
    RETURN_IF_ERROR(WriteFileAtomically(to / path, bytes));
  }
  RETURN_IF_ERROR(WriteTokenizer(encoder.config(), options.tokenizer, to));
  return WriteWeights(encoder, to);
}

// Loads the folder again and embeds the probe with it.
absl::Status CheckFolder(const Encoder& encoder, const PackedBatch& probe, const fs::path& folder) {
  const at::NoGradGuard no_grad;
  ASSIGN_OR_RETURN(const EncoderConfig config, ReadEncoderConfig(folder));
  RETURN_IF_ERROR(CheckModelFolder(folder, config));
  ASSIGN_OR_RETURN(const std::unique_ptr<Encoder> reloaded,
                   Encoder::Load(folder, config, encoder.options()));
  PackedBatch batch = probe;
  batch.tokens = probe.tokens.to(encoder.options().device);
  const at::Tensor difference = encoder.Encode(batch, {}) - reloaded->Encode(batch, {});
  const double largest = difference.abs().max().item<double>();
  if (!(largest <= kTolerance)) {  // written so that NaN also fails
    return absl::DataLossError(absl::StrCat("the reloaded folder's embeddings differ by ", largest, ", more than ",
                                            kTolerance, ": the export is not kept"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExportFolder(const Encoder& encoder, const ExportOptions& options) {
  std::error_code error;
  if (fs::exists(options.folder, error)) {
    return absl::AlreadyExistsError(absl::StrCat(options.folder.string(), " exists: remove it, or export elsewhere"));
  }
  const fs::path parent = options.folder.has_parent_path() ? options.folder.parent_path() : fs::path(".");
  ASSIGN_OR_RETURN(const fs::path aside, MakeScratchFolder(parent, ".export"));
  absl::Cleanup remove = [&] { fs::remove_all(aside, error); };
  fs::permissions(aside, fs::perms(0755), error);
  RETURN_IF_ERROR(WithContext(WriteFolder(encoder, options, aside), "export"));
  RETURN_IF_ERROR(WithContext(CheckFolder(encoder, options.probe, aside), "export"));
  fs::rename(aside, options.folder, error);
  if (error) return absl::InternalError(absl::StrCat(options.folder.string(), ": rename: ", error.message()));
  std::move(remove).Cancel();
  return FlushToDisk(parent);
}

}  // namespace muster
