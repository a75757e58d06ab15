#include "client/model_files.h"

#include <algorithm>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/model/folder_files.h"
#include "common/model/hf_config.h"
#include "common/status.h"

namespace muster {
namespace {

// A vocabulary is enough for a preset; a model needs all its files.
absl::Status Check(const std::filesystem::path& folder, const ModelFiles& files) {
  std::vector<std::string> paths = files.chosen;
  paths.insert(paths.end(), files.left_out.begin(), files.left_out.end());
  RETURN_IF_ERROR(WithContext(CheckModelPaths(paths), folder.string()));
  if (!std::binary_search(files.chosen.begin(), files.chosen.end(), "config.json")) return absl::OkStatus();
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
    const std::string path = relative.generic_string();
    (IsModelFile(path) ? files.chosen : files.left_out).push_back(path);
  }
  if (error) return absl::InvalidArgumentError(absl::StrCat(folder.string(), ": ", error.message()));
  std::sort(files.chosen.begin(), files.chosen.end());
  std::sort(files.left_out.begin(), files.left_out.end());
  RETURN_IF_ERROR(Check(folder, files));
  return files;
}

}  // namespace muster
