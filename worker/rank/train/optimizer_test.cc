#include "worker/rank/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"

namespace muster {
namespace {

constexpr AdamWOptions kOptions{.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-6};

std::vector<Parameter> SomeParameters() {
  std::vector<Parameter> parameters;
  for (const char* name : {"encoder.layer.0.output.dense.weight", "encoder.layer.0.output.dense.bias",
                           "encoder.layer.0.output.LayerNorm.weight", "encoder.layer.0.output.LayerNorm.bias"}) {
    parameters.push_back({name, at::randn({5, 3}, at::kDouble).set_requires_grad(true)});
  }
  return parameters;
}

std::vector<at::Tensor> SomeGradients(int step) {
  std::vector<at::Tensor> gradients;
  for (int i = 0; i < 4; ++i) {
    gradients.push_back(at::sin(at::arange(15, at::kDouble) * (step + 2 * i + 1)).view({5, 3}));
  }
  return gradients;
}

TEST(AdamW, CountsUpTheVersionsOfWhatItUpdates) {
  const std::vector<Parameter> parameters = SomeParameters();
  AdamW optimizer(parameters, kOptions);
  for (int step = 0; step < 3; ++step) {
    std::vector<uint32_t> before;
    for (const Parameter& parameter : parameters) before.push_back(parameter.value._version());
    optimizer.Update(SomeGradients(step), 0.1);
    for (size_t i = 0; i < parameters.size(); ++i) EXPECT_GT(parameters[i].value._version(), before[i]);
  }
}

TEST(AdamW, EqualsTheFormulaByHand) {
  const std::vector<Parameter> parameters = SomeParameters();
  std::vector<std::vector<double>> values, m(4, std::vector<double>(15)), v(4, std::vector<double>(15));
  for (const Parameter& p : parameters) {
    const double* data = p.value.const_data_ptr<double>();
    values.emplace_back(data, data + 15);
  }
  AdamW optimizer(parameters, kOptions);
  double largest = 0;
  for (int step = 0; step < 20; ++step) {
    const double rate = 0.01 / (step + 1);
    const std::vector<at::Tensor> gradients = SomeGradients(step), before = SomeGradients(step);
    optimizer.Update(gradients, rate);
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE(at::equal(gradients[i], before[i]));
      for (int e = 0; e < 15; ++e) {
        const double g = before[i].const_data_ptr<double>()[e];
        m[i][e] = kOptions.beta1 * m[i][e] + (1 - kOptions.beta1) * g;
        v[i][e] = kOptions.beta2 * v[i][e] + (1 - kOptions.beta2) * g * g;
        const double average = m[i][e] / (1 - std::pow(kOptions.beta1, step + 1));
        const double square = v[i][e] / (1 - std::pow(kOptions.beta2, step + 1));
        if (i == 0) values[i][e] *= 1 - rate * kOptions.weight_decay;
        values[i][e] -= rate * average / (std::sqrt(square) + kOptions.epsilon);
        largest = std::max(largest, std::abs(values[i][e] - parameters[i].value.const_data_ptr<double>()[e]));
      }
    }
  }
  std::cout << "largest difference " << largest << "\n";
  EXPECT_LE(largest, 1e-12);
  EXPECT_EQ(optimizer.step(), 20);
}

// Sizes that fill neither a vector nor a thread's stretch.
struct LargeCase {
  std::vector<Parameter> parameters;
  std::vector<at::Tensor> gradients;
};
LargeCase LargeTensors(at::ScalarType type = at::kFloat) {
  LargeCase large;
  for (const int64_t size : {1, 7, 64, 16389, 150001}) {
    const at::Tensor ramp = at::arange(size, type);
    const bool decayed = size > 16;
    large.parameters.push_back({absl::StrCat("layer.", size, decayed ? ".weight" : ".bias"), at::sin(ramp).set_requires_grad(true)});
    large.gradients.push_back(at::cos(ramp * 1.7) * at::pow(10, at::remainder(ramp, 9) - 6));
  }
  return large;
}

// Uses float64: in float32 the two round differently, and after 20 steps they differ by 1.5e-6.
TEST(AdamW, EqualsTorchsFusedKernel) {
  const LargeCase large = LargeTensors(at::kDouble);
  std::vector<at::Tensor> values, averages, squares, steps;
  for (const Parameter& p : large.parameters) {
    values.push_back(p.value.detach().clone());
    averages.push_back(at::zeros_like(values.back()));
    squares.push_back(at::zeros_like(values.back()));
    steps.push_back(at::zeros({}, at::kFloat));
  }
  AdamW optimizer(large.parameters, kOptions);
  double largest = 0;
  for (int step = 0; step < 20; ++step) {
    optimizer.Update(large.gradients, 0.01);
    for (size_t i = 0; i < values.size(); ++i) {
      steps[i].fill_(step + 1);
      at::_fused_adamw_({values[i]}, {large.gradients[i]}, {averages[i]}, {squares[i]}, {}, {steps[i]}, 0.01,
                        kOptions.beta1, kOptions.beta2, IsUndecayed(large.parameters[i].name) ? 0 : kOptions.weight_decay,
                        kOptions.epsilon, false, false);
      largest = std::max(largest, (values[i] - large.parameters[i].value).abs().max().item<double>());
    }
  }
  std::cout << "largest difference " << largest << "\n";
  EXPECT_LE(largest, 1e-12);
}

// Groups of parameters with separate rates, and weight decay, against torch's kernel called once per group.
TEST(AdamW, RatesOfGroupsAreTorchsParameterGroups) {
  const LargeCase large = LargeTensors(at::kDouble);
  const std::vector<size_t> groups = {0, 2, 1, 2, 0};
  std::vector<at::Tensor> values, averages, squares, steps;
  for (const Parameter& p : large.parameters) {
    values.push_back(p.value.detach().clone());
    averages.push_back(at::zeros_like(values.back()));
    squares.push_back(at::zeros_like(values.back()));
    steps.push_back(at::zeros({}, at::kFloat));
  }
  AdamW optimizer(large.parameters, kOptions, groups);
  double largest = 0;
  for (int step = 0; step < 20; ++step) {
    const double rates[] = {0.01 / (step + 1), 0, 0.003};
    optimizer.Update(large.gradients, rates);
    for (size_t i = 0; i < values.size(); ++i) {
      steps[i].fill_(step + 1);
      at::_fused_adamw_({values[i]}, {large.gradients[i]}, {averages[i]}, {squares[i]}, {}, {steps[i]}, rates[groups[i]],
                        kOptions.beta1, kOptions.beta2, IsUndecayed(large.parameters[i].name) ? 0 : kOptions.weight_decay,
                        kOptions.epsilon, false, false);
      largest = std::max(largest, (values[i] - large.parameters[i].value).abs().max().item<double>());
    }
  }
  std::cout << "largest difference " << largest << "\n";
  EXPECT_LE(largest, 1e-12);
  EXPECT_TRUE(at::equal(large.parameters[2].value, LargeTensors(at::kDouble).parameters[2].value)) << "its rate is 0";
}

TEST(AdamW, ResetIsTheBeginning) {
  const LargeCase reset = LargeTensors(), fresh = LargeTensors();
  AdamW optimizer(reset.parameters, kOptions);
  for (int step = 0; step < 3; ++step) optimizer.Update(reset.gradients, 0.01);
  optimizer.Reset();
  EXPECT_EQ(optimizer.step(), 0);
  for (size_t i = 0; i < fresh.parameters.size(); ++i) {
    fresh.parameters[i].value.detach().copy_(reset.parameters[i].value.detach());
  }
  AdamW other(fresh.parameters, kOptions);
  for (int step = 0; step < 3; ++step) {
    optimizer.Update(reset.gradients, 0.01);
    other.Update(fresh.gradients, 0.01);
  }
  for (size_t i = 0; i < fresh.parameters.size(); ++i) {
    EXPECT_TRUE(at::equal(fresh.parameters[i].value, reset.parameters[i].value)) << fresh.parameters[i].name;
  }
}

// The clip factor is part of the update: no extra pass over the gradients, and the same bits.
TEST(AdamW, AScaleOfTheGradientIsThatOfScaledGradients) {
  const LargeCase scaled = LargeTensors(), given = LargeTensors();
  AdamW by_factor(given.parameters, kOptions), by_hand(scaled.parameters, kOptions);
  std::vector<at::Tensor> smaller;
  for (const at::Tensor& gradient : scaled.gradients) smaller.push_back(gradient * 0.37f);
  for (int step = 0; step < 3; ++step) {
    by_factor.Update(given.gradients, 0.01, static_cast<double>(0.37f));
    by_hand.Update(smaller, 0.01);
  }
  for (size_t i = 0; i < smaller.size(); ++i) {
    EXPECT_TRUE(at::equal(given.parameters[i].value, scaled.parameters[i].value)) << given.parameters[i].name;
    EXPECT_TRUE(at::equal(given.gradients[i], scaled.gradients[i])) << "the gradients are read, not changed";
  }
}

TEST(AdamW, BitsDoNotDependOnTheNumberOfThreads) {
  const int threads = at::get_num_threads();
  std::vector<LargeCase> cases;
  for (const int count : {1, 2, 5}) {
    at::set_num_threads(count);
    const LargeCase& large = cases.emplace_back(LargeTensors());
    AdamW optimizer(large.parameters, kOptions);
    for (int step = 0; step < 3; ++step) optimizer.Update(large.gradients, 0.01, 0.7);
  }
  at::set_num_threads(threads);
  for (const LargeCase& other : cases) {
    for (size_t i = 0; i < other.parameters.size(); ++i) {
      EXPECT_TRUE(at::equal(other.parameters[i].value, cases[0].parameters[i].value));
    }
  }
}

TEST(AdamW, ContinuesBitForBitFromItsState) {
  const std::vector<Parameter> parameters = SomeParameters();
  AdamW optimizer(parameters, kOptions);
  for (int step = 0; step < 3; ++step) optimizer.Update(SomeGradients(step), 0.01);

  std::vector<Parameter> copies, state;
  for (const Parameter& p : parameters) copies.push_back({p.name, p.value.detach().clone().set_requires_grad(true)});
  for (const Parameter& p : optimizer.State()) state.push_back({p.name, p.value.clone()});
  AdamW resumed(copies, kOptions);
  ASSERT_TRUE(resumed.Restore(state).ok());
  EXPECT_EQ(resumed.step(), 3);
  for (int step = 3; step < 6; ++step) {
    optimizer.Update(SomeGradients(step), 0.01);
    resumed.Update(SomeGradients(step), 0.01);
  }
  for (size_t i = 0; i < copies.size(); ++i) EXPECT_TRUE(at::equal(copies[i].value, parameters[i].value));
}

TEST(AdamW, RestoreRefusesAnIncompleteOrForeignStateAndChangesNothing) {
  const std::vector<Parameter> parameters = SomeParameters();
  AdamW optimizer(parameters, kOptions);
  optimizer.Update(SomeGradients(0), 0.01);
  std::vector<Parameter> state;
  for (const Parameter& p : optimizer.State()) state.push_back({p.name, at::zeros_like(p.value)});
  state.back().value = at::zeros({2}, at::kLong);
  EXPECT_EQ(optimizer.Restore(state).code(), absl::StatusCode::kInvalidArgument);
  state.pop_back();
  EXPECT_EQ(optimizer.Restore(state).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(optimizer.step(), 1);
  EXPECT_GT(optimizer.State()[0].value.abs().max().item<double>(), 0);
}

// Uses the architectures' own names: biases and norms are vectors; among matrices, only MPNet's relative positions are a bias.
TEST(AdamW, DecaysMatricesOnly) {
  for (const std::string& name : FamilyNames()) {
    EncoderConfig config;
    config.architecture = name;
    config.relative_buckets = 32;
    config.norm_bias = true;
    int decayed = 0;
    for (const TensorShape& tensor : FamilyOf(config).tensors(config)) {
      const bool is_table = tensor.name == "encoder.relative_attention_bias.weight";
      EXPECT_EQ(IsUndecayed(tensor.name), tensor.shape.size() == 1 || is_table) << name << ": " << tensor.name;
      decayed += !IsUndecayed(tensor.name);
    }
    EXPECT_GE(decayed, 9) << name;
  }
  EXPECT_TRUE(IsUndecayed("2_Dense.linear.bias"));
  EXPECT_FALSE(IsUndecayed("2_Dense.linear.weight"));
}

}  // namespace
}  // namespace muster
