// The modules after the transformer in a folder of sentence-transformers 2 to 6: pooling, Dense modules, normalization.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/model/encoder_config.h"

namespace muster {

// Reads modules.json and the folders that it names. Without modules.json: 1_Pooling/config.json if it exists, else
// mean pooling; normalization; a note says so. `config` has the hidden size. Errors name file, key and remedy.
absl::Status ReadSentenceModules(const std::filesystem::path& folder, EncoderConfig& config);

// activation_function of a Dense module's config.json, for the name in DenseModule: "tanh" →
// "torch.nn.modules.activation.Tanh".
std::string DenseActivationClass(std::string_view activation);

}  // namespace muster
