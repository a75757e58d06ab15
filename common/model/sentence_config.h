// The files of a model folder that set how texts are tokenized: lengths and prompts.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "common/model/encoder_config.h"

namespace muster {

// The maximum length: max_seq_length of sentence_bert_config.json, else model_max_length of tokenizer_config.json, else
// the model's positions; never more than those. `config` has its positions, and its modules are read.
absl::Status ReadLengths(const std::filesystem::path& folder, EncoderConfig& config);

// Prompts and similarity of config_sentence_transformers.json.
absl::Status ReadPrompts(const std::filesystem::path& folder, EncoderConfig& config);

}  // namespace muster
