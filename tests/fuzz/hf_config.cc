// Model folders: config.json and its companion files, the headers of weights, and their index. An input is the files,
// each preceded by its number and length. Laws: a refusal has a message; accepted tensors are inside the file.
#include "common/model/hf_config.h"

#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/scratch.h"

namespace {

constexpr const char* kFiles[] = {"config.json", "model.safetensors", "modules.json", "1_Pooling/config.json",
                                  "sentence_bert_config.json", "tokenizer_config.json", "vocab.txt",
                                  "config_sentence_transformers.json", "model.safetensors.index.json",
                                  "model-00001-of-00002.safetensors", "2_Dense/config.json", "2_Dense/model.safetensors",
                                  "2_Normalize/config.json", "tokenizer.json", "sentence_roberta_config.json"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const muster::FuzzFolder scratch;
  const std::filesystem::path folder = scratch.Fresh("model");
  muster::ByteSource source(data, size);
  while (!source.empty()) {
    const size_t file = source.Below(std::size(kFiles));
    muster::Put(folder / kFiles[file], source.Bytes());
  }
  const auto entries = muster::ReadSafetensorsHeader(folder / "model.safetensors");
  if (entries.ok()) {
    const uint64_t bytes = std::filesystem::file_size(folder / "model.safetensors");
    for (const muster::SafetensorsEntry& entry : *entries) {
      FUZZ_CHECK(entry.begin <= entry.end && entry.end <= bytes, entry.name + " is outside of the file");
    }
  }
  const auto config = muster::ReadEncoderConfig(folder);
  if (!config.ok()) {
    FUZZ_CHECK(!config.status().message().empty(), "an error without words");
    return 0;
  }
  FUZZ_CHECK(config->hidden_size > 0 && config->heads > 0 && config->HeadSize() > 0 && config->max_positions > 0, "sizes");
  FUZZ_CHECK(config->max_sequence_length > 0 && config->max_sequence_length <= config->max_positions, "length");
  FUZZ_CHECK(config->EmbeddingSize() > 0, "embedding size");
  const absl::Status status = muster::CheckModelFolder(folder, *config);
  FUZZ_CHECK(status.ok() || !status.message().empty(), "an error without words");
  return 0;
}
