// Reads a Hugging Face model folder, without its weights: the encoder's configuration, and the tensors that it needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/encoder_config.h"
#include "common/model/safetensors.h"

namespace muster {

// The preset `tiny`: 2 layers, hidden size 128, 2 heads, intermediate 512, mean pooling, normalized.
absl::StatusOr<EncoderConfig> PresetConfig(std::string_view preset, int64_t vocabulary_size);

// Reads config.json, and if present modules.json and its modules' folders, sentence_bert_config.json,
// config_sentence_transformers.json and tokenizer_config.json. Each of their keys is honored, known to be harmless
// (harmless_keys.h), or refused: errors name file and key, and what to do.
absl::StatusOr<EncoderConfig> ReadEncoderConfig(const std::filesystem::path& folder);

// Every tensor that the encoder has, in a fixed order (pooler left out).
std::vector<TensorShape> EncoderTensors(const EncoderConfig& config);
// The tensors of a Dense module, "2_Dense.linear.weight". In its folder's model.safetensors their names lack the folder.
std::vector<TensorShape> DenseTensors(const DenseModule& module);

// Every tensor of `config` is in the folder's weights with the right shape and a floating type, and vocab.txt, if there
// is one, has no more entries than the model has word embeddings. Errors name both numbers. `notes`, if given, receives a list
// of tensors in the folder that the encoder does not use.
absl::Status CheckModelFolder(const std::filesystem::path& folder, const EncoderConfig& config,
                              std::vector<std::string>* notes = nullptr);

// An error with both numbers if a tokenizer has more entries than the model has word embeddings.
absl::Status CheckVocabulary(std::string_view tokenizer, int64_t entries, const EncoderConfig& config);

}  // namespace muster
