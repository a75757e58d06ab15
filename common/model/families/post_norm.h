// BERT and similar models: embeddings of tokens and positions, then layers of attention and a feed-forward part, each followed
// by LayerNorm over its sum with its input. They differ in names, in their positions, and in a few options.
#pragma once

#include <string_view>
#include <vector>

#include "common/model/encoder_config.h"

namespace muster {

// Names of tensors without ".weight" and ".bias". Those of a layer follow `layer` and its number.
struct PostNormNames {
  std::string_view types;          // token type embeddings; empty: the family has none
  std::string_view relative_bias;  // table of relative positions, shared by all layers; empty: none
  std::string_view layer;          // "encoder.layer."
  std::string_view query, key, value, attention_output, attention_norm, intermediate, output, output_norm;
};

inline constexpr std::string_view kWordEmbeddings = "embeddings.word_embeddings",
                                  kPositionEmbeddings = "embeddings.position_embeddings",
                                  kEmbeddingNorm = "embeddings.LayerNorm";

// The number of buckets into which transformers sorts distances between tokens, regardless of the table's size.
inline constexpr int64_t kRelativeBuckets = 32;

std::vector<TensorShape> PostNormTensors(const PostNormNames& names, const EncoderConfig& config);

}  // namespace muster
