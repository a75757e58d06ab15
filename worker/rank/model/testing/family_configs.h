// For tests: a small configuration of any family, with windows shorter than sequences and heads that share keys and
// values where the family has them.
#pragma once

#include <string>

#include "common/model/encoder_config.h"

namespace muster {

inline EncoderConfig WithFamily(EncoderConfig config, const std::string& architecture) {
  config.architecture = architecture;
  if (architecture == "roberta" || architecture == "xlm-roberta" || architecture == "mpnet") config.pad_token = 1;
  if (architecture == "mpnet") config.relative_buckets = 32;
  if (architecture == "modernbert" || architecture == "qwen3") {
    config.attention_bias = config.feed_forward_bias = config.norm_bias = false;
    config.layer_norm_epsilon = 1e-6;
    config.rope_theta = 10000;
  }
  if (architecture == "modernbert") {
    config.local_rope_theta = 1000;
    config.window = 3;
    for (int64_t layer = 0; layer < config.layers; ++layer) config.local.push_back(layer % 2 == 1);
  }
  if (architecture == "qwen3") {
    config.heads = 4;
    config.key_value_heads = 2;
    config.head_size = 6;
    config.activation = "silu";
    config.pooling = PoolingMode::kLast;
  }
  return config;
}

inline EncoderConfig FamilyTestConfig(const std::string& architecture) {
  EncoderConfig config;
  config.vocabulary_size = 50;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.max_positions = config.max_sequence_length = 24;
  return WithFamily(config, architecture);
}

}  // namespace muster
