// An encoder over packed sequences, of any family in common/model/families: no padding anywhere. Float32, float64 (for tests), or bfloat16 over float32
// parameters, on the CPU or a GPU.
//
// Dropout masks are a pure function of (seed, step, global slot of the sequence, layer, site, element), so they depend
// neither on the number of ranks nor on how micro-batches were cut.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/files.h"
#include "common/model/hf_config.h"

namespace muster {

// Sequences one after the other, in ascending order of length.
struct PackedBatch {
  at::Tensor tokens;              // int64 [total], on the encoder's device
  std::vector<int64_t> lengths;   // of each sequence; sum is total
  std::vector<uint32_t> slots;    // global slot of each sequence, the key of its dropout
  // Number of tokens at the beginning of each sequence that pooling leaves out (the prompt's); empty: 0 for all.
  std::vector<int64_t> unpooled;
  int64_t size() const { return static_cast<int64_t>(lengths.size()); }
};

// The keys of the masks of attention probabilities. kLaunch permits flash attention's own generator on a GPU, where it
// supports the form and type; everywhere else kLaunch means kSequence.
enum class AttentionKeys {
  kSequence,  // seed, step, slot, layer, element
  kLaunch,    // seed, step, layer, and the first slot of the micro-batch, which keys a generator for all its sequences
};

// Which masks to draw. probability 0: none (evaluation).
struct Dropout {
  double hidden = 0;     // embeddings, attention output, feed-forward output
  double attention = 0;  // attention probabilities
  uint64_t seed = 0;
  uint64_t step = 0;
  AttentionKeys attention_keys = AttentionKeys::kSequence;
};

struct Parameter {
  std::string name;   // as in the model's file, without the family's prefix; "2_Dense.linear.weight" of a Dense module
  at::Tensor value;   // leaf that requires a gradient
};

// The type in which an encoder computes, and its device.
struct EncoderOptions {
  EncoderOptions(at::ScalarType parameter_type = at::kFloat, at::Device on = at::kCPU, bool in_bfloat16 = false)
      : type(parameter_type), device(on), bfloat16(in_bfloat16) {}
  at::ScalarType type;  // of parameters, their gradients and embeddings: float32 or float64
  at::Device device;
  // Products, activations and attention in bfloat16 (mixed.h); LayerNorm, softmax inside, pooling and embeddings in
  // float32. Parameters must be float32.
  bool bfloat16;
};

// Not thread-safe, with one exception: Encode may run in several threads at once if it neither builds a graph nor computes in
// bfloat16.
class Encoder {
 public:
  // Loads a Hugging Face folder. `config` may override pooling and normalization.
  static absl::StatusOr<std::unique_ptr<Encoder>> Load(const std::filesystem::path& folder, EncoderConfig config,
                                                       const EncoderOptions& options = {});
  // Random weights: normal(0, 0.02), LayerNorm 1 and 0, biases 0, each element a function of (seed, tensor, element).
  static absl::StatusOr<std::unique_ptr<Encoder>> Random(EncoderConfig config, uint64_t seed,
                                                         const EncoderOptions& options = {});
  ~Encoder();

  // Embeddings [batch.size(), config().EmbeddingSize()] of options().type, in the batch's order. Builds an autograd graph if
  // gradients are enabled in the calling thread. Throws c10::Error only for broken invariants (a token id beyond the vocabulary is checked
  // where shares arrive, not here).
  at::Tensor Encode(const PackedBatch& batch, const Dropout& dropout) const;

  const EncoderConfig& config() const;
  const EncoderOptions& options() const;
  // The trained parameters: with low-rank adaptation only the adapters, otherwise every tensor in the order of
  // EncoderTensors(config), then DenseTensors(), without those of the parts that config().frozen names.
  std::vector<Parameter>& parameters();
  const std::vector<Parameter>& parameters() const;
  // The tensors that are not trained: all of them if adapters are trained; otherwise those of frozen parts.
  const std::vector<Parameter>& fixed() const;

  // The same encoder with its adapters added to the weights, up to rounding, and nothing frozen: what an export holds.
  std::unique_ptr<Encoder> Merged() const;

  // Bytes of autograd graph that Encode keeps for a batch, an upper estimate from shapes alone (a pure function:
  // which graphs are kept must not depend on the machine's state).
  static uint64_t GraphBytes(const EncoderConfig& config, const PackedBatch& batch, bool bfloat16);

 private:
  friend class PackedWeights;
  struct Impl;
  static absl::StatusOr<std::unique_ptr<Encoder>> Make(EncoderConfig config, const EncoderOptions& options,
                                                       std::vector<Parameter> tensors);
  explicit Encoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// While it lives, the encoder's weights must not change, and Encode reads copies of them in the order of this processor's
// products (product/matrix_product.h); embeddings are the same bits. Takes as much memory as the weights of the layers, or none
// if products need no copies. Must neither begin nor end while the encoder encodes.
class PackedWeights {
 public:
  explicit PackedWeights(const Encoder& encoder);
  ~PackedWeights();
  PackedWeights(const PackedWeights&) = delete;
  PackedWeights& operator=(const PackedWeights&) = delete;

 private:
  const Encoder& encoder_;
};

// One tensor of a mapped .safetensors file, in the file's type, copied to 64-byte alignment.
absl::StatusOr<at::Tensor> ReadTensor(const MappedFile& mapped, const SafetensorsEntry& entry);
// Writes tensors as `file` (.safetensors), in their order, each in its own dtype. Atomic: a temporary file is flushed and renamed.
absl::Status WriteSafetensors(const std::filesystem::path& file, std::span<const Parameter> tensors);
// Reads every tensor of a .safetensors file, in the order of their bytes and in the file's
// dtypes, copied to 64-byte alignment.
absl::StatusOr<std::vector<Parameter>> ReadSafetensors(const std::filesystem::path& file);

}  // namespace muster
