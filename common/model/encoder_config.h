// The architecture of an encoder, as its folder or a preset describes it, and the tensors that it needs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace muster {

// The modes of sentence-transformers' Pooling: weighted mean weighs the i-th token of a sequence, counted from 1, by i;
// mean_sqrt_len divides the sum by the root of the number of tokens.
enum class PoolingMode { kCls, kMean, kLast, kMax, kWeightedMean, kMeanSqrtLength };

// A Dense module of sentence-transformers: activation(W x + b), on the pooled embedding.
struct DenseModule {
  std::string folder;  // relative to the model's: "2_Dense", which holds its model.safetensors
  int64_t in = 0, out = 0;
  bool bias = true;
  std::string activation = "tanh";  // identity, tanh, relu, gelu (erf), silu, sigmoid
};

// Low-rank adaptation: a product's weight is W + alpha / rank * B A. W is fixed; only A and B are trained. Source:
// arXiv 2106.09685.
struct LoraConfig {
  int64_t rank = 0;  // 0: no adaptation; all weights are trained
  double alpha = 32;
  std::vector<std::string> targets;  // ends of the products' names ("query", "output.dense"); empty: all products
  uint64_t seed = 0;                 // of A; B starts at 0
};

// The prompts of config_sentence_transformers.json.
struct FolderPrompts {
  std::string query, passage;  // for a job that does not set its own
  std::map<std::string, std::string> by_name;  // all prompts of the file
  std::string default_name;                    // default_prompt_name; empty: none
};

struct EncoderConfig {
  std::string architecture = "bert";  // model_type
  // Rows of the word embeddings: config.json's vocab_size. The tokenizer may have fewer entries (padded rows).
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
  std::string activation = "gelu";  // as transformers names it; "gelu" is the exact (erf) one
  // For families whose position table has an offset: the first token takes row pad_token + 1, and tokens that are
  // pad_token take its own row and are not counted. -1: the first token takes row 0.
  int64_t pad_token = -1;
  int64_t key_value_heads = 0;   // 0: heads
  int64_t head_size = 0;         // numbers per head; 0: hidden_size / heads
  bool attention_bias = true;    // whether products of attention, of the feed-forward part, and norms have biases
  bool feed_forward_bias = true;
  bool norm_bias = true;
  int64_t relative_buckets = 0;  // rows of the table of relative positions; 0: none
  int64_t window = 0;            // of local layers: a token sees others at most this far away
  std::vector<bool> local;       // which layers are local; empty: none
  double rope_theta = 0;         // base of rotary positions; 0: none
  double local_rope_theta = 0;   // of local layers
  PoolingMode pooling = PoolingMode::kMean;
  bool exclude_prompt = false;  // the prompt's tokens stay out of pooling
  std::vector<DenseModule> dense;  // between pooling and normalization, in order
  bool normalize = true;
  int64_t max_sequence_length = 512;  // tokens per text, including special tokens
  bool lower_case = true;             // tokenizer_config.json do_lower_case
  LoraConfig lora;                    // set by a job, never by a folder
  std::vector<std::string> frozen;    // parts that a job does not train (common/model/parts.h); set by a job, never by a folder
  FolderPrompts prompts;
  std::string config_json;  // the unchanged config.json, for the export; empty for a preset
  std::vector<std::string> notes;  // human-readable: what was assumed, or read and not used

  int64_t HeadSize() const { return head_size > 0 ? head_size : hidden_size / heads; }
  int64_t KeyValueHeads() const { return key_value_heads > 0 ? key_value_heads : heads; }
  bool IsLocal(int64_t layer) const { return !local.empty() && local[layer]; }
  int64_t EmbeddingSize() const { return dense.empty() ? hidden_size : dense.back().out; }
};

struct TensorShape {
  std::string name;  // Hugging Face's, without the family's prefix: embeddings.word_embeddings.weight, …
  std::vector<int64_t> shape;
};

}  // namespace muster
