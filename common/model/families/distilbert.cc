#include "common/model/families/family.h"
#include "common/model/families/read.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr PostNormNames kDistilBertNames = {.types = "",
                                            .relative_bias = "",
                                            .layer = "transformer.layer.",
                                            .query = "attention.q_lin",
                                            .key = "attention.k_lin",
                                            .value = "attention.v_lin",
                                            .attention_output = "attention.out_lin",
                                            .attention_norm = "sa_layer_norm",
                                            .intermediate = "ffn.lin1",
                                            .output = "ffn.lin2",
                                            .output_norm = "output_layer_norm"};

// sinusoidal_pos_embds only says how positions were initialized: the file has their table in both cases.
absl::Status ReadDistilBert(const Keys& keys, EncoderConfig& config) {
  constexpr SizeKeys kSizes = {.hidden = "dim", .layers = "n_layers", .heads = "n_heads", .intermediate = "hidden_dim"};
  RETURN_IF_ERROR(ReadActivation(keys, "activation", config));
  RETURN_IF_ERROR(ReadSizes(keys, kSizes, config));
  RETURN_IF_ERROR(keys.Number("dropout", config.hidden_dropout));
  RETURN_IF_ERROR(keys.Number("attention_dropout", config.attention_dropout));
  config.type_vocabulary_size = 0;
  config.layer_norm_epsilon = 1e-12;  // transformers has no key for it
  RETURN_IF_ERROR(CheckHeads(keys, kSizes, config));
  return CheckRanges(keys, "the epsilon", config);
}

std::vector<TensorShape> DistilBertTensors(const EncoderConfig& config) {
  return PostNormTensors(kDistilBertNames, config);
}

constexpr HarmlessKey kDistilBertHarmless[] = {{"sinusoidal_pos_embds", "the file holds the table either way"},
                                               {"tie_weights_", "belongs to a head that no embedding uses"}};

}  // namespace

const Family kDistilBertFamily = {.model_type = "distilbert",
                                  .prefix = "distilbert.",
                                  .read = ReadDistilBert,
                                  .tensors = DistilBertTensors,
                                  .harmless = kDistilBertHarmless,
                                  .post_norm = &kDistilBertNames};

}  // namespace muster
