// Chooses the files of a model folder to push.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

struct ModelFiles {
  std::vector<std::string> chosen;    // relative paths, sorted
  std::vector<std::string> left_out;  // weights in other formats, and other files that no encoder needs
};

// Configuration, tokenizer and weights (safetensors) of a Hugging Face or sentence-transformers folder, or only a
// tokenizer. Checks everything that can be checked before sending: INVALID_ARGUMENT names what is wrong.
absl::StatusOr<ModelFiles> ChooseModelFiles(const std::filesystem::path& folder);

}  // namespace muster
