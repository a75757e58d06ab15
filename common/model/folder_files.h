// Which files make up a model folder: those that are pushed, and those that are required.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace muster {

// Whether a file, by its path in the folder, belongs to the model: configuration, tokenizer, weights in safetensors, model
// card. Weights in other formats do not.
bool IsModelFile(std::string_view path);

// Whether a file at the top of the folder belongs to the tokenizer.
bool IsTokenizerFile(std::string_view name);
// Whether the tokenizer is read from this file. The ids that a job trains on depend on no other file.
bool DecidesTokenIds(std::string_view name);
// Whether this file is a complete tokenizer.
bool IsTokenizerSource(std::string_view name);

// Configuration files at the top of the folder ("X_config.json", "config_X.json") that Muster neither reads nor knows to be
// harmless, by name.
std::vector<std::string> UnknownConfigFiles(const std::filesystem::path& folder);

// Checks only a folder's paths: a whole model, or only a tokenizer. INVALID_ARGUMENT names the file that is missing,
// or that Muster does not read, and the remedy.
absl::Status CheckModelPaths(std::span<const std::string> paths);

}  // namespace muster
