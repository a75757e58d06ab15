// BERT (which includes MiniLM), RoBERTa and XLM-RoBERTa: the same tensors, different positions.
#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "common/model/families/read.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr PostNormNames kBertNames = {.types = "embeddings.token_type_embeddings",
                                      .relative_bias = "",
                                      .layer = "encoder.layer.",
                                      .query = "attention.self.query",
                                      .key = "attention.self.key",
                                      .value = "attention.self.value",
                                      .attention_output = "attention.output.dense",
                                      .attention_norm = "attention.output.LayerNorm",
                                      .intermediate = "intermediate.dense",
                                      .output = "output.dense",
                                      .output_norm = "output.LayerNorm"};

absl::Status ReadBert(const Keys& keys, EncoderConfig& config) {
  std::string positions = "absolute";
  RETURN_IF_ERROR(keys.Text("position_embedding_type", positions));
  RETURN_IF_ERROR(keys.Supported("position_embedding_type", positions, {"absolute"}));
  RETURN_IF_ERROR(RefuseTrue(keys, "is_decoder", "Set it to false: the model is used as an encoder."));
  RETURN_IF_ERROR(RefuseTrue(keys, "add_cross_attention", "Set it to false: the model is used as an encoder."));
  RETURN_IF_ERROR(ReadActivation(keys, "hidden_act", config));
  RETURN_IF_ERROR(ReadSizes(keys, {}, config));
  RETURN_IF_ERROR(keys.Size("type_vocab_size", config.type_vocabulary_size));
  RETURN_IF_ERROR(keys.Number("layer_norm_eps", config.layer_norm_epsilon));
  RETURN_IF_ERROR(keys.Number("hidden_dropout_prob", config.hidden_dropout));
  RETURN_IF_ERROR(keys.Number("attention_probs_dropout_prob", config.attention_dropout));
  RETURN_IF_ERROR(CheckHeads(keys, {}, config));
  return CheckRanges(keys, "layer_norm_eps", config);
}

absl::Status ReadRoberta(const Keys& keys, EncoderConfig& config) {
  RETURN_IF_ERROR(ReadBert(keys, config));
  config.pad_token = 1;
  RETURN_IF_ERROR(keys.Size("pad_token_id", config.pad_token, 0));
  return TakeOffsetPositions(keys, config);
}

std::vector<TensorShape> BertTensors(const EncoderConfig& config) { return PostNormTensors(kBertNames, config); }

}  // namespace

const Family kBertFamily = {
    .model_type = "bert", .prefix = "bert.", .read = ReadBert, .tensors = BertTensors, .post_norm = &kBertNames};
const Family kRobertaFamily = {.model_type = "roberta",
                               .prefix = "roberta.",
                               .read = ReadRoberta,
                               .tensors = BertTensors,
                               .post_norm = &kBertNames};
const Family kXlmRobertaFamily = {.model_type = "xlm-roberta",
                                  .prefix = "roberta.",
                                  .read = ReadRoberta,
                                  .tensors = BertTensors,
                                  .post_norm = &kBertNames};

}  // namespace muster
