#include "worker/rank/export/export.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/tokenizer_json.h"
#include "common/status.h"
#include "worker/rank/export/folder_files.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 1e-6;

absl::Status WriteTokenizer(const EncoderConfig& config, const fs::path& from, const fs::path& to) {
  ASSIGN_OR_RETURN(const std::string vocabulary, ReadFile(from / "vocab.txt"));
  RETURN_IF_ERROR(WriteFileAtomically(to / "vocab.txt", vocabulary));
  std::error_code error;
  if (fs::exists(from / "tokenizer.json", error)) {
    ASSIGN_OR_RETURN(const std::string whole, ReadFile(from / "tokenizer.json"));
    ASSIGN_OR_RETURN(const std::string untruncated, UntruncatedTokenizer(whole));
    RETURN_IF_ERROR(WriteFileAtomically(to / "tokenizer.json", untruncated));
  }
  const std::pair<const char*, std::string> others[] = {{"tokenizer_config.json", TokenizerConfig(config)},
                                                        {"special_tokens_map.json", SpecialTokensMap()}};
  for (const auto& [name, fallback] : others) {
    std::string bytes = fallback;
    if (fs::exists(from / name, error)) {
      ASSIGN_OR_RETURN(bytes, ReadFile(from / name));
    }
    if (std::string_view(name) == "tokenizer_config.json") {
      ASSIGN_OR_RETURN(bytes, TokenizerConfigWithLength(bytes, config.max_sequence_length));
    }
    RETURN_IF_ERROR(WriteFileAtomically(to / name, bytes));
  }
  return absl::OkStatus();
}

absl::Status WriteFolder(const Encoder& encoder, const ExportOptions& options, const fs::path& to) {
  for (const auto& [path, bytes] : FolderFiles(encoder.config(), options)) {
    RETURN_IF_ERROR(MakeFolders((to / path).parent_path()));
    RETURN_IF_ERROR(WriteFileAtomically(to / path, bytes));
  }
  if (encoder.config().normalize) {
    // Without a file in it, a folder is lost by stores that keep files alone.
    RETURN_IF_ERROR(MakeFolders(to / "2_Normalize"));
    RETURN_IF_ERROR(WriteFileAtomically(to / "2_Normalize" / "config.json", "{}\n"));
  }
  RETURN_IF_ERROR(WriteTokenizer(encoder.config(), options.tokenizer, to));
  std::vector<Parameter> weights;
  for (const Parameter& parameter : encoder.parameters()) {
    weights.push_back({parameter.name, parameter.value.detach().to(at::kFloat)});
  }
  return WriteSafetensors(to / "model.safetensors", weights);
}

// Loads the folder anew and embeds the probe with it.
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
  if (!(largest <= kTolerance)) {  // a NaN is a difference, too
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
