#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "common/model/families/read.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr PostNormNames kMpnetNames = {.types = "",
                                       .relative_bias = "encoder.relative_attention_bias",
                                       .layer = "encoder.layer.",
                                       .query = "attention.attn.q",
                                       .key = "attention.attn.k",
                                       .value = "attention.attn.v",
                                       .attention_output = "attention.attn.o",
                                       .attention_norm = "attention.LayerNorm",
                                       .intermediate = "intermediate.dense",
                                       .output = "output.dense",
                                       .output_norm = "output.LayerNorm"};

absl::Status ReadMpnet(const Keys& keys, EncoderConfig& config) {
  RETURN_IF_ERROR(ReadActivation(keys, "hidden_act", config));
  RETURN_IF_ERROR(ReadSizes(keys, {}, config));
  RETURN_IF_ERROR(keys.Number("layer_norm_eps", config.layer_norm_epsilon));
  RETURN_IF_ERROR(keys.Number("hidden_dropout_prob", config.hidden_dropout));
  RETURN_IF_ERROR(keys.Number("attention_probs_dropout_prob", config.attention_dropout));
  config.relative_buckets = kRelativeBuckets;
  RETURN_IF_ERROR(keys.Size("relative_attention_num_buckets", config.relative_buckets));
  if (config.relative_buckets < kRelativeBuckets) {
    return keys.Wrong(absl::StrCat("relative_attention_num_buckets: ", config.relative_buckets,
                                   " is not supported. transformers always uses ", kRelativeBuckets, " of them."));
  }
  config.type_vocabulary_size = 0;
  config.pad_token = 1;  // transformers has no key for it: pad_token_id is only for the tokenizer
  RETURN_IF_ERROR(TakeOffsetPositions(keys, config));
  RETURN_IF_ERROR(CheckHeads(keys, {}, config));
  return CheckRanges(keys, "layer_norm_eps", config);
}

std::vector<TensorShape> MpnetTensors(const EncoderConfig& config) { return PostNormTensors(kMpnetNames, config); }

}  // namespace

const Family kMpnetFamily = {
    .model_type = "mpnet", .prefix = "mpnet.", .read = ReadMpnet, .tensors = MpnetTensors, .post_norm = &kMpnetNames};

}  // namespace muster
