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
  // The same weights in float32 and float64, except for rounding. They are random, so that no gradient is a small
  // difference.
  auto generator = at::detail::createCPUGenerator(3);
  const at::Tensor weights = at::randn(result.embeddings.sizes(), generator, at::kDouble);
  const at::Tensor& out = result.embeddings;
  const at::Tensor sum = (out * weights.to(out.device(), out.scalar_type())).sum();
  result.gradients = torch::autograd::grad({sum}, values, {}, std::nullopt, false, /*allow_unused=*/false);
  return result;
}

struct Limits {
  double outputs, gradients;
};

absl::Status Compare(const Encoder& encoder, const Encoded& own, const Encoded& reference, const Limits& limits,
                     Figures& figures) {
  const double outputs = RelativeDifference(own.embeddings, reference.embeddings);
  double gradients = 0, key_bias = 0;
  std::string worst;
  for (size_t i = 0; i < own.gradients.size(); ++i) {
    // In theory the gradient of an attention key bias is exactly zero, so only rounding remains.
    if (absl::EndsWith(encoder.parameters()[i].name, "key.bias")) {
      const double query_norm = reference.gradients[i - 2].to(at::kCPU, at::kDouble).norm().item<double>();
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
  return Both(AtMost("difference of the outputs", outputs, limits.outputs),
              Both(AtMost(absl::StrCat("difference of the gradient of ", worst).c_str(), gradients, limits.gradients),
                   AtMost("a key bias's gradient relative to the query bias's", key_bias, limits.gradients)));
}

// Compares float32 (or bfloat16 over float32 masters) on the session's device with something more exact.
absl::Status CompareEncoders(const Session& session, const EncoderConfig& config, const Dropout& dropout,
                             bool bfloat16, Figures& figures) {
  // bfloat16 is compared with float32 on the same device, float32 with float64 on the CPU.
  const EncoderOptions own_options(at::kFloat, session.device(), bfloat16);
  const EncoderOptions other_options =
      bfloat16 ? EncoderOptions(at::kFloat, session.device()) : EncoderOptions(at::kDouble, at::kCPU);
  ASSIGN_OR_RETURN(const auto own, WideEncoder(config, own_options));
  ASSIGN_OR_RETURN(const auto other, WideEncoder(config, other_options));
  const Encoded reference =
      EncodeWithGradients(*other, RandomBatchOn(other_options.device, config, kLengths, 1), dropout);
  const Encoded result = EncodeWithGradients(*own, RandomBatchOn(session.device(), config, kLengths, 1), dropout);
  // bfloat16: as in worker/rank/model/mixed_test.cc, about 30 independent roundings of 2^-9 on a path through 3 layers;
  // gradients pass through them twice and are differences of larger numbers.
  return Compare(*own, result, reference, bfloat16 ? Limits{0.011, 0.04} : Limits{1e-5, 1e-5}, figures);
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
                 [&](Figures& figures) { return CompareEncoders(session, config, {}, false, figures); });
    session.Test(absl::StrCat("encoder.float32.", name, ".dropout"),
                 [&](Figures& figures) { return CompareEncoders(session, config, dropout, false, figures); });
  }
  session.Test("encoder.bfloat16",
               [&](Figures& figures) { return CompareEncoders(session, SmallEncoder(), {}, true, figures); });
  session.Test("encoder.bfloat16.dropout",
               [&](Figures& figures) { return CompareEncoders(session, SmallEncoder(), dropout, true, figures); });
}

}  // namespace muster
