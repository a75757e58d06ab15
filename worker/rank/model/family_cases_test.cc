// Every family against transformers: testing/family_cases.py ran the small models of testing/family_cases.json.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <nlohmann/json.hpp>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/families/family.h"
#include "test_paths.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

using nlohmann::json;

// Draws the same numbers as uniform() in the script.
at::Tensor Uniform(const std::string& name, int64_t size) {
  uint64_t seed = 0;
  for (size_t i = 0; i < name.size(); ++i) seed += (i + 1) * static_cast<uint8_t>(name[i]);
  at::Tensor values = at::empty({size}, at::kDouble);
  for (int64_t e = 0; e < size; ++e) {
    uint64_t z = static_cast<uint64_t>(e + 1) * 0x9E3779B97F4A7C15 + seed * 0xBF58476D1CE4E5B9;
    z ^= z >> 31;
    z *= 0x94D049BB133111EB;
    z ^= z >> 29;
    values.data_ptr<double>()[e] = static_cast<double>(z >> 11) * 0x1.0p-53;
  }
  return values;
}

void Fill(Encoder& encoder) {
  const at::NoGradGuard no_grad;
  for (Parameter& parameter : encoder.parameters()) {
    const at::Tensor values = (Uniform(parameter.name, parameter.value.numel()) - 0.5).view(parameter.value.sizes());
    parameter.value.copy_(IsNormWeight(parameter.name) ? 1 + 0.2 * values : 0.8 * values);
  }
}

PackedBatch BatchOf(const json& sequences) {
  PackedBatch batch;
  std::vector<int64_t> tokens;
  for (const json& sequence : sequences) {
    for (const json& id : sequence) tokens.push_back(id);
    batch.lengths.push_back(static_cast<int64_t>(sequence.size()));
    batch.slots.push_back(static_cast<uint32_t>(batch.slots.size()));
  }
  batch.tokens = at::tensor(tokens, at::kLong);
  return batch;
}

struct Case : json {
  friend void PrintTo(const Case& value, std::ostream* out) { *out << value["name"]; }
};

class FamilyCases : public testing::TestWithParam<Case> {
 protected:
  static std::unique_ptr<Encoder> MakeEncoder() {
    const json& config_json = GetParam()["config"];
    EncoderConfig config;
    const Family* family = FindFamily(config_json["model_type"].get<std::string>());
    config.architecture = family->model_type;
    const absl::Status status = family->read(Keys("config.json", config_json), config);
    EXPECT_TRUE(status.ok()) << status;
    config.pooling = PoolingMode::kMean;
    config.normalize = false;
    return Encoder::Random(config, 1, at::kDouble).value();
  }
};

TEST_P(FamilyCases, EmbeddingsAndGradientsAreThoseOfTransformers) {
  const std::unique_ptr<Encoder> encoder = MakeEncoder();
  Fill(*encoder);
  // transformers computes RMSNorm, rotary angles and the softmax of these two in float32 in any model.
  const bool exact = encoder->config().rope_theta == 0;
  const double tolerance = exact ? 1e-11 : 2e-6;
  const PackedBatch batch = BatchOf(GetParam()["sequences"]);
  const at::Tensor embeddings = encoder->Encode(batch, {});
  std::vector<at::Tensor> rows, cotangents;
  for (const json& row : GetParam()["embeddings"]) rows.push_back(at::tensor(row.get<std::vector<double>>(), at::kDouble));
  const double difference = LargestDifference(embeddings, at::stack(rows));
  EXPECT_LE(difference, tolerance);
  for (int64_t i = 0; i < batch.size(); ++i) {
    cotangents.push_back(Uniform(absl::StrCat("cotangent ", i), embeddings.size(1)) - 0.5);
  }
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : encoder->parameters()) values.push_back(parameter.value);
  const auto gradients = torch::autograd::grad({(embeddings * at::stack(cotangents)).sum()}, values);
  const json& expected = GetParam()["gradients"];
  double largest = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::string& name = encoder->parameters()[i].name;
    if (!expected.contains(name)) continue;
    const at::Tensor flat = gradients[i].reshape({-1});
    const double norm = expected[name][0], product = expected[name][1];
    const double off = std::max(std::abs(flat.norm().item<double>() - norm),
                                std::abs(flat.dot(Uniform("gradient " + name, flat.numel()) - 0.5).item<double>() - product));
    largest = std::max(largest, off / std::max(norm, 1e-2));
    EXPECT_LE(off, tolerance * std::max(norm, 1e-2)) << name;
  }
  EXPECT_GE(expected.size(), encoder->parameters().size() - 3);  // one case leaves out the tables of embeddings
  std::cout << "embeddings differ by " << difference << ", gradients by " << largest << "\n";
}

constexpr double kDropout = 0.2;

// An update does not depend on the number of ranks because, for every family, neither a sequence's embedding nor its
// gradient depends on the sequences that it is packed with, dropout included.
TEST_P(FamilyCases, EmbeddingsAndGradientsDoNotDependOnTheBatch) {
  const std::unique_ptr<Encoder> encoder = MakeEncoder();
  Fill(*encoder);
  const Dropout dropout{.hidden = kDropout, .attention = kDropout, .seed = 3, .step = 4};
  const PackedBatch batch = RandomBatch(encoder->config(), {1, 1, 4, 7, 7, 7, 13, 17}, 5);
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : encoder->parameters()) values.push_back(parameter.value);
  const auto gradients = [&](const at::Tensor& embeddings) {
    return torch::autograd::grad({embeddings.sin().sum()}, values, {}, std::nullopt, false, /*allow_unused=*/true);
  };
  const at::Tensor together = encoder->Encode(batch, dropout);
  const auto whole = gradients(together);
  std::vector<at::Tensor> sum(values.size());
  for (int64_t s = 0; s < batch.size(); ++s) {
    const at::Tensor alone = encoder->Encode(SliceBatch(batch, s, 1), dropout);
    EXPECT_LE(LargestDifference(alone[0], together[s]), 1e-12) << "sequence " << s;
    const auto own = gradients(alone);
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].defined()) sum[i] = sum[i].defined() ? sum[i] + own[i] : own[i];
    }
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    ASSERT_TRUE(whole[i].defined()) << encoder->parameters()[i].name << " has no gradient";
    EXPECT_LE(LargestDifference(whole[i], sum[i]), 1e-11) << encoder->parameters()[i].name;
  }
  const at::NoGradGuard no_grad;
  EXPECT_GT(LargestDifference(together, encoder->Encode(batch, {})), 0.01) << "no dropout";
}

TEST_P(FamilyCases, Bfloat16IsNearFloat64) {
  const std::unique_ptr<Encoder> exact = MakeEncoder();
  Fill(*exact);
  EncoderConfig config = exact->config();
  const auto mixed = Encoder::Random(config, 1, {at::kFloat, at::kCPU, /*in_bfloat16=*/true}).value();
  Fill(*mixed);
  const PackedBatch batch = RandomBatch(config, {1, 4, 7, 7, 17}, 5);
  for (const double probability : {0.0, kDropout}) {
    const Dropout dropout{.hidden = probability, .attention = probability, .seed = 3, .step = 4};
    std::vector<std::vector<at::Tensor>> results;
    for (const Encoder* encoder : {exact.get(), mixed.get()}) {
      std::vector<at::Tensor> values;
      for (const Parameter& parameter : encoder->parameters()) values.push_back(parameter.value);
      const at::Tensor embeddings = encoder->Encode(batch, dropout);
      results.push_back(torch::autograd::grad({embeddings.sin().sum()}, values));
      results.back().push_back(embeddings);
    }
    double error = 0, size = 0;
    // If rounding flips the sign of a number, relu's derivative jumps. Then only the embeddings are close.
    const size_t first = config.activation == "relu" ? results[0].size() - 1 : 0;
    for (size_t i = first; i < results[0].size(); ++i) {
      error += (results[1][i].to(at::kDouble) - results[0][i]).square().sum().item<double>();
      size += results[0][i].square().sum().item<double>();
    }
    std::cout << "dropout " << probability << ": relative difference " << std::sqrt(error / size) << "\n";
    EXPECT_LE(std::sqrt(error / size), 0.05);
    EXPECT_GT(std::sqrt(error / size), 1e-4) << "not computed in bfloat16";
  }
}

std::vector<Case> Cases() {
  const auto text = ReadFile(std::filesystem::path(MUSTER_SOURCE_DIR) / "worker/rank/model/testing/family_cases.json");
  const json file = json::parse(text.value());
  std::vector<Case> cases;
  for (const json& one : file["cases"]) cases.push_back({one});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Transformers, FamilyCases, testing::ValuesIn(Cases()), [](const auto& info) {
  std::string name = info.param["name"];
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace muster
