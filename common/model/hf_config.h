// A Hugging Face model folder, without its weights: what the encoder must be, and which tensors it needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/encoder_config.h"

namespace muster {

// The preset `tiny`: 2 layers, hidden size 128, 2 heads, intermediate 512, mean pooling, normalised.
absl::StatusOr<EncoderConfig> PresetConfig(std::string_view preset, int64_t vocabulary_size);

// Reads config.json, and if present modules.json, 1_Pooling/config.json, sentence_bert_config.json,
// tokenizer_config.json. Errors name file and key, and what is supported.
absl::StatusOr<EncoderConfig> ReadEncoderConfig(const std::filesystem::path& folder);

// Every tensor that the encoder has, in a fixed order (pooler left out).
std::vector<TensorShape> EncoderTensors(const EncoderConfig& config);
// Those of a Dense module, "2_Dense.linear.weight": in its folder's model.safetensors without the folder before them.
std::vector<TensorShape> DenseTensors(const DenseModule& module);

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // F32, F16, BF16, I64, …
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes from the start of the file
};
// The header of a .safetensors file, checked against the file's size.
// Source: https://github.com/huggingface/safetensors, "Format".
absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(const std::filesystem::path& file);

// Every tensor of `config` is in the folder's model.safetensors with the right shape and a floating type, and
// vocab.txt has as many entries as word_embeddings.weight has rows. Errors name both numbers.
absl::Status CheckModelFolder(const std::filesystem::path& folder, const EncoderConfig& config);

}  // namespace muster
