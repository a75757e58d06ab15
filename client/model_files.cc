#include "client/model_files.h"

#include <algorithm>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/model/hf_config.h"
#include "common/status.h"

namespace muster {
namespace {

bool IsWanted(const std::filesystem::path& relative) {
  if (relative == "model.safetensors" || relative == "README.md") return true;
  const std::filesystem::path top = *relative.begin();
  if (top == "onnx" || top == "openvino") return false;
  return relative.extension() == ".json" || relative.extension() == ".txt";
}

// A vocabulary is enough for a preset; a model needs all its parts.
absl::Status Check(const std::filesystem::path& folder, bool has_config, bool has_weights, bool has_vocabulary) {
  if (!has_vocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder.string(),
                     ": has no vocab.txt. Save the tokenizer in the BERT form: tokenizer.save_vocabulary(folder)."));
  }
  if (!has_config && !has_weights) return absl::OkStatus();
  if (!has_config)
    return absl::InvalidArgumentError(absl::StrCat(folder.string(), ": has weights, but no config.json."));
  if (!has_weights) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder.string(),
        ": has no model.safetensors. Save it again: model.save_pretrained(folder, safe_serialization=True)."));
  }
  absl::StatusOr<EncoderConfig> config = ReadEncoderConfig(folder);
  if (!config.ok()) return absl::InvalidArgumentError(config.status().message());
  if (const absl::Status status = CheckModelFolder(folder, *config); !status.ok()) {
    return absl::InvalidArgumentError(status.message());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelFiles> ChooseModelFiles(const std::filesystem::path& folder) {
  ModelFiles files;
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(folder, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat(folder.string(), ": ", error.message()));
  for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    if (absl::StartsWith(it->path().filename().string(), ".")) {
      if (it->is_directory(error)) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file(error)) continue;
    const std::filesystem::path relative = it->path().lexically_relative(folder);
    (IsWanted(relative) ? files.chosen : files.left_out).push_back(relative.generic_string());
  }
  if (error) return absl::InvalidArgumentError(absl::StrCat(folder.string(), ": ", error.message()));
  std::sort(files.chosen.begin(), files.chosen.end());
  std::sort(files.left_out.begin(), files.left_out.end());
  const auto has = [&](const char* name) { return std::binary_search(files.chosen.begin(), files.chosen.end(), name); };
  RETURN_IF_ERROR(Check(folder, has("config.json"), has("model.safetensors"), has("vocab.txt")));
  return files;
}

}  // namespace muster
