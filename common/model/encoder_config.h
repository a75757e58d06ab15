// What an encoder must be, as its folder or a preset describes it, and the tensors that it needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster {

enum class PoolingMode { kCls, kMean, kLast };

struct EncoderConfig {
  std::string architecture = "bert";
  int64_t vocabulary_size = 30522;
  int64_t hidden_size = 128;
  int64_t layers = 2;
  int64_t heads = 2;
  int64_t intermediate_size = 512;
  int64_t max_positions = 512;
  int64_t type_vocabulary_size = 2;
  double layer_norm_epsilon = 1e-12;
  double hidden_dropout = 0.1;
  double attention_dropout = 0.1;
  std::string activation = "gelu";  // exact (erf) gelu
  PoolingMode pooling = PoolingMode::kMean;
  bool normalize = true;
  int64_t max_sequence_length = 512;  // sentence_bert_config.json, else max_positions
  bool lower_case = true;             // tokenizer_config.json do_lower_case
};

struct TensorShape {
  std::string name;  // Hugging Face's, without a "bert." prefix: embeddings.word_embeddings.weight, …
  std::vector<int64_t> shape;
};

}  // namespace muster
