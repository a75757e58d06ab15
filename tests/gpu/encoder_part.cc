// The encoder: float32 against float64 on the CPU, bfloat16 against float32.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "tests/gpu/models.h"
#include "tests/gpu/session.h"

namespace muster {
namespace {

const std::vector<int64_t> kLengths = {1, 1, 2, 3, 3, 8, 17, 17, 17, 64, 65, 128, 257};

struct Encoded {
  at::Tensor embeddings;
  std::vector<at::Tensor> gradients;  // of sum(embeddings * fixed weights)
};

Encoded EncodeWithGradients(const Encoder& encoder, const PackedBatch& batch, const Dropout& dropout) {
  const at::AutoGradMode with_graph(true);
  Encoded result{.embeddings = encoder.Encode(batch, dropout)};
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : encoder.parameters()) values.push_back(parameter.value);
  // Weights of order 1 that are alike in float32 and float64 but for their rounding.
  const at::Tensor weights =
      at::sin(at::arange(result.embeddings.numel(), at::kDouble) * 0.7).view(result.embeddings.sizes());
  const at::Tensor sum = (result.embeddings * weights.to(result.embeddings.device(), result.embeddings.scalar_type())).sum();
  result.gradients = torch::autograd::grad({sum}, values, {}, std::nullopt, false, /*allow_unused=*/false);
  return result;
}

absl::Status Compare(const Encoder& encoder, const Encoded& own, const Encoded& reference, double limit,
                     Figures& figures) {
  const double outputs = RelativeDifference(own.embeddings, reference.embeddings);
  double gradients = 0, key_bias = 0;
  std::string worst;
  for (size_t i = 0; i < own.gradients.size(); ++i) {
    // In theory the gradient of an attention key bias is exactly zero: rounding is all that is there.
    if (absl::EndsWith(encoder.parameters()[i].name, "key.bias")) {
      const double query_norm = reference.gradients[i - 2].to(at::kDouble).norm().item<double>();
      key_bias = std::max(key_bias, own.gradients[i].to(at::kCPU, at::kDouble).norm().item<double>() / query_norm);
      continue;
    }
    const double difference = RelativeDifference(own.gradients[i], reference.gradients[i]);
    if (!(difference <= gradients)) gradients = difference, worst = encoder.parameters()[i].name;
  }
  figures["difference_outputs"] = outputs;
  figures["difference_gradients"] = gradients;
  figures["worst_gradient"] = worst;
  figures["key_bias_beside_query_bias"] = key_bias;
  return Both(AtMost("difference of the outputs", outputs, limit),
              Both(AtMost(absl::StrCat("difference of the gradient of ", worst).c_str(), gradients, limit),
                   AtMost("a key bias's gradient beside the query bias's", key_bias, limit)));
}

absl::Status CompareSingle(const Session& session, const EncoderConfig& config, const Dropout& dropout,
                           Figures& figures) {
  ASSIGN_OR_RETURN(const auto single, EncoderOn(session.device(), config, 7, at::kFloat, /*wide=*/true));
  ASSIGN_OR_RETURN(const auto wide, EncoderOn(at::kCPU, config, 7, at::kDouble));
  {
    const at::NoGradGuard no_gradient;
    for (size_t i = 0; i < wide->parameters().size(); ++i) {
      wide->parameters()[i].value.copy_(single->parameters()[i].value);
    }
  }
  const Encoded reference = EncodeWithGradients(*wide, RandomBatchOn(at::kCPU, config, kLengths, 1), dropout);
  const Encoded own = EncodeWithGradients(*single, RandomBatchOn(session.device(), config, kLengths, 1), dropout);
  return Compare(*single, own, reference, 1e-5, figures);
}

}  // namespace

void RunEncoderPart(Session& session) {
  constexpr std::pair<const char*, PoolingMode> kPoolings[] = {
      {"mean", PoolingMode::kMean}, {"cls", PoolingMode::kCls}, {"last", PoolingMode::kLast}};
  const Dropout dropout{.hidden = 0.1, .attention = 0.1, .seed = 5, .step = 9};
  for (const auto& [name, pooling] : kPoolings) {
    EncoderConfig config = SmallEncoder();
    config.pooling = pooling;
    session.Test(absl::StrCat("encoder.float32.", name),
                 [&](Figures& figures) { return CompareSingle(session, config, {}, figures); });
    session.Test(absl::StrCat("encoder.float32.", name, ".dropout"),
                 [&](Figures& figures) { return CompareSingle(session, config, dropout, figures); });
  }
}

}  // namespace muster
