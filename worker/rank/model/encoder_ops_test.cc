// The CPU's row operations against their definitions in torch's own operations, in every type; their order of sums; and
// their masks.
#include "worker/rank/model/encoder_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>

#include "worker/rank/model/product.h"
#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

const DropoutPlace kPlace{3, DropoutSite::kFeedForward};

// Widths that are one vector, less than one, and not a multiple of one, of 8 decisions, or of a draw.
constexpr int64_t kWidths[] = {16, 5, 40, 131, 384};

struct Inputs {
  Inputs(int64_t columns, at::ScalarType type, double probability)
      : width(columns), mask{DropoutRate(probability), kPlace} {
    std::vector<int64_t> lengths;
    for (int64_t i = 1; i < 18; ++i) lengths.push_back(i);
    batch = RandomBatch(SmallConfig(), lengths, 1);
    batch.unpooled.clear();
    plan = MakeSequencePlan(batch, {.hidden = probability, .seed = 4, .step = 2});
    rows_type = type;
    type_of_parameters = type == at::kBFloat16 ? at::kFloat : type;
  }
  at::Tensor Draw(at::IntArrayRef shape, double shift = 0) {
    auto generator = at::detail::createCPUGenerator(++seed);
    return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble)) + shift;
  }
  at::Tensor Rows(int64_t columns) { return Draw({plan->rows, columns}).to(rows_type); }
  at::Tensor Vector(int64_t columns, double shift = 0) { return Draw({columns}, shift).to(type_of_parameters); }
  // The factors of the mask, from common/random.h's definition by way of ApplyMask.
  at::Tensor Factors(int64_t columns) const {
    at::Tensor factors = at::ones({plan->rows, columns}, at::kDouble);
    for (size_t s = 0; mask.active() && s < plan->lengths.size(); ++s) {
      double* rows = factors.data_ptr<double>() + plan->first_rows[s] * columns;
      ApplyMask(DropoutKey(plan->keys[s], mask.place), mask.rate, plan->lengths[s] * columns, rows, rows);
    }
    return factors;
  }
  int64_t width;
  RowMask mask;
  PackedBatch batch;
  SequencePlanPtr plan;
  at::ScalarType rows_type, type_of_parameters;
  uint64_t seed = 0;
};

at::Tensor Wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }
at::Tensor Leaf(const at::Tensor& tensor) { return tensor.to(at::kDouble).detach().clone().set_requires_grad(true); }

// The tolerance for results of the rows' type: float64, float32, or bfloat16, which rounds to 8 bits.
double Tolerance(at::ScalarType type) { return type == at::kDouble ? 1e-13 : type == at::kFloat ? 2e-6 : 1e-2; }

void ExpectNear(const at::Tensor& own, const at::Tensor& expected, at::ScalarType type, const char* what,
                int64_t width) {
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  EXPECT_LE((Wide(own) - expected).abs().max().item<double>(), Tolerance(type) * scale)
      << what << " of width " << width;
}

at::Tensor NormOf(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const Norm& norm) {
  if (!norm.rms) return at::layer_norm(x, {x.size(1)}, weight, bias, norm.epsilon);
  return x / (x.square().mean(-1, true) + norm.epsilon).sqrt() * weight;
}

void ExpectAddNorm(int64_t width, at::ScalarType type, double probability, bool rms) {
  Inputs in(width, type, probability);
  const at::Tensor product = in.Rows(width), bias = in.Vector(width), residual = in.Rows(width), d_out = in.Rows(width),
                   before = in.Rows(width);
  Norm norm{.weight = in.Vector(width, 1), .bias = rms ? at::Tensor() : in.Vector(width), .epsilon = 1e-5, .rms = rms};
  const EncoderOps& ops = EncoderOpsOf(at::kCPU);
  at::Tensor sum = product.clone(), statistics = at::empty({product.size(0), 2}, bias.options()),
             out = at::empty_like(sum);
  ops.AddNorm(sum, bias, residual, norm, in.mask, *in.plan, sum, statistics, out);
  NormGradients gradients{.weight = at::ones_like(bias),
                          .bias = rms ? at::Tensor() : at::ones_like(bias),
                          .product_bias = at::ones_like(bias)};
  at::Tensor d_sum = d_out.clone(), d_product = at::empty_like(sum), again = at::empty_like(sum);
  ops.AddNormBackward(d_sum, before, sum, statistics, norm, in.mask, *in.plan, d_sum, d_product, gradients, again);
  EXPECT_TRUE(at::equal(again, out)) << "the forward's output again, of width " << width;

  const at::Tensor p = Leaf(product), b = Leaf(bias), r = Leaf(residual), w = Leaf(norm.weight),
                   c = rms ? at::Tensor() : Leaf(norm.bias);
  const at::Tensor s = r + (p + b) * in.Factors(width), y = NormOf(s, w, c, norm);
  std::vector<at::Tensor> leaves = {p, b, r, w};
  if (!rms) leaves.push_back(c);
  const auto expected = torch::autograd::grad({y, s}, leaves, {Wide(d_out), Wide(before)});
  ExpectNear(sum, s, type, "sum", width);
  ExpectNear(out, y, type, "norm", width);
  ExpectNear(d_product, expected[0], type, "d product", width);
  ExpectNear(gradients.product_bias - 1, expected[1], type, "d bias", width);
  ExpectNear(d_sum, expected[2], type, "d residual", width);
  ExpectNear(gradients.weight - 1, expected[3], type, "d weight", width);
  if (!rms) ExpectNear(gradients.bias - 1, expected[4], type, "d norm's bias", width);
}

TEST(EncoderOps, AddNormIsItsDefinition) {
  for (const int64_t width : kWidths) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
      ExpectAddNorm(width, type, 0.2, false);
      ExpectAddNorm(width, type, 0, true);
    }
  }
}

TEST(EncoderOps, ANormAloneLeavesItsInput) {
  Inputs in(40, at::kFloat, 0);
  at::Tensor x = in.Rows(40), statistics = at::empty({x.size(0), 2}), out = at::empty_like(x);
  const at::Tensor copy = x.clone(), weight = in.Vector(40);
  EncoderOpsOf(at::kCPU).AddNorm(x, {}, {}, {.weight = weight, .epsilon = 1e-6, .rms = true}, in.mask, *in.plan, x,
                                 statistics, out);
  EXPECT_TRUE(at::equal(x, copy));
  ExpectNear(out, NormOf(Wide(x), Wide(weight), {}, {.epsilon = 1e-6, .rms = true}), at::kFloat, "norm", 40);
}

at::Tensor ActivationOf(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kTanh:
      return at::tanh(x);
  }
  return {};
}

void ExpectActivate(int64_t width, at::ScalarType type, Activation activation, bool gated, double probability) {
  Inputs in(width, type, probability);
  const int64_t columns = gated ? 2 * width : width;
  const at::Tensor x = in.Rows(columns) * 3, bias = in.Vector(columns), d_out = in.Rows(width);
  const EncoderOps& ops = EncoderOpsOf(at::kCPU);
  at::Tensor out = at::empty_like(d_out), again = at::empty_like(d_out), d_x = at::empty_like(x),
             d_bias = at::ones_like(bias);
  ops.Activate(x, bias, activation, gated, in.mask, *in.plan, out);
  ops.ActivateBackward(d_out, x, bias, activation, gated, in.mask, *in.plan, d_x, d_bias, again);
  EXPECT_TRUE(at::equal(out, again)) << "the backward's output is another than the forward's";

  const at::Tensor leaf = Leaf(x), of_bias = Leaf(bias), sum = leaf + of_bias;
  at::Tensor y = ActivationOf(activation, sum.narrow(1, 0, width));
  if (gated) y = y * sum.narrow(1, width, width);
  y = y * in.Factors(width);
  const auto expected = torch::autograd::grad({y}, {leaf, of_bias}, {Wide(d_out)});
  ExpectNear(out, y, type, "activation", width);
  ExpectNear(d_x, expected[0], type, "d x", width);
  ExpectNear(d_bias - 1, expected[1], type, "d bias", width);
}

TEST(EncoderOps, ActivateIsItsDefinition) {
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kSilu, Activation::kTanh}) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
      ExpectActivate(40, type, activation, false, 0);
      ExpectActivate(131, type, activation, true, 0.2);
    }
  }
}

TEST(EncoderOps, GeluKeepsItsPrecisionAndNotANumber) {
  Inputs in(1, at::kFloat, 0);
  const at::Tensor x = at::cat({at::linspace(-12, 12, 4001), at::tensor({0.0f, -0.0f, 1e-30f, 90.0f, -90.0f, NAN})});
  at::Tensor out = at::empty({1, x.size(0)});
  EncoderOpsOf(at::kCPU).Activate(x.unsqueeze(0), {}, Activation::kGelu, false, in.mask, *in.plan, out);
  const at::Tensor exact = at::gelu(Wide(x));
  const at::Tensor off = (Wide(out[0]) - exact).abs() / exact.abs().clamp_min(1);
  EXPECT_TRUE(std::isnan(out[0][x.size(0) - 1].item<float>()));
  const double largest = off.narrow(0, 0, x.size(0) - 1).max().item<double>();
  std::cout << "GELU in float32 is off by " << largest << "\n";
  EXPECT_LE(largest, 8e-7);  // erf to 5 units in the last place
}

void ExpectEmbedNorm(int64_t width, at::ScalarType type, double probability, bool places, bool types) {
  Inputs in(width, type, probability);
  const int64_t rows = in.plan->rows;
  EmbeddingTables tables{.words = in.Draw({50, width}).to(in.type_of_parameters),
                         .tokens = in.batch.tokens.remainder(50)};
  if (places) {
    tables.position_table = in.Draw({30, width}).to(in.type_of_parameters);
    tables.positions = in.plan->positions;
  }
  if (types) tables.type_row = in.Vector(width);
  const Norm norm{.weight = in.Vector(width, 1), .bias = in.Vector(width), .epsilon = 1e-5};
  const at::Tensor d_out = in.Rows(width);
  const EncoderOps& ops = EncoderOpsOf(at::kCPU);
  at::Tensor statistics = at::empty({rows, 2}, norm.weight.options()), out = at::empty_like(d_out);
  ops.EmbedNorm(tables, norm, in.mask, *in.plan, statistics, out);
  const NormGradients gradients{.weight = at::ones_like(norm.weight),
                                .bias = at::ones_like(norm.weight),
                                .product_bias = at::ones_like(norm.weight)};
  at::Tensor d_sum = at::empty({rows, width}, norm.weight.options()), d_words = at::ones_like(tables.words);
  ops.EmbedNormBackward(d_out, tables, norm, in.mask, *in.plan, statistics, d_sum, gradients);
  ops.AddToRows(d_sum, tables.tokens, d_words);

  const at::Tensor w = Leaf(norm.weight), b = Leaf(norm.bias), words = Leaf(tables.words),
                   type_row = Leaf(types ? tables.type_row : norm.weight);
  at::Tensor sum = words.index_select(0, tables.tokens);
  if (places) sum = sum + Wide(tables.position_table).index_select(0, tables.positions);
  if (types) sum = sum + type_row;
  const at::Tensor y = NormOf(sum, w, b, norm) * in.Factors(width);
  const auto expected = torch::autograd::grad({y}, {w, b, words, type_row}, {Wide(d_out)}, {}, false, true);
  ExpectNear(out, y, type, "embeddings", width);
  ExpectNear(gradients.weight - 1, expected[0], type, "d weight", width);
  ExpectNear(gradients.bias - 1, expected[1], type, "d bias", width);
  ExpectNear(d_words - 1, expected[2], type, "d words", width);
  if (types) ExpectNear(gradients.product_bias - 1, expected[3], type, "d type", width);
}

TEST(EncoderOps, EmbedNormIsItsDefinition) {
  for (const int64_t width : kWidths) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
      ExpectEmbedNorm(width, type, 0.2, /*places=*/true, /*types=*/true);
      ExpectEmbedNorm(width, type, 0, /*places=*/false, /*types=*/false);
      ExpectEmbedNorm(width, type, 0, /*places=*/false, /*types=*/true);
    }
  }
}

// Whole numbers below 256 are exact in bfloat16, and so are float32 sums of them.
at::Tensor Whole(at::IntArrayRef shape, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randint(-2, 3, shape, generator, at::TensorOptions().dtype(at::kFloat));
}

TEST(EncoderOps, ColumnSumsOfBfloat16AreFloat32) {
  std::vector<at::Tensor> sums = {at::zeros({3}), at::ones({5})};
  EncoderOpsOf(at::kCPU).AddColumnSums(at::ones({301, 8}, at::kBFloat16), sums);
  EXPECT_TRUE(at::equal(sums[0], at::full({3}, 301.0f)));
  EXPECT_TRUE(at::equal(sums[1], at::full({5}, 302.0f)));
}

TEST(Product, EqualsFloat32WhereNumbersAreExactInBfloat16) {
  Linear plain, mixed;
  for (uint64_t i = 0; i < 3; ++i) plain.masters.push_back({Whole({4, 8}, 10 + i), Whole({4}, 20 + i)});
  mixed = plain;
  mixed.cast = CastJoined(mixed.masters);
  const at::Tensor x = Whole({5, 8}, 1), d_out = Whole({5, 12}, 2);
  EXPECT_TRUE(at::equal(MultiplyAddBias(mixed, x.to(at::kBFloat16)).to(at::kFloat), MultiplyAddBias(plain, x)));
  EXPECT_TRUE(at::equal(InputGradient(mixed, d_out.to(at::kBFloat16)).to(at::kFloat), InputGradient(plain, d_out)));
  std::vector<at::Tensor> parameters;
  for (Affine& master : plain.masters) parameters.push_back(master.weight.set_requires_grad(true));
  ParameterGradients of_plain(parameters), of_mixed(parameters);
  AddWeightGradients(plain, x, d_out, of_plain);
  AddWeightGradients(mixed, x.to(at::kBFloat16), d_out.to(at::kBFloat16), of_mixed);
  for (size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_EQ(of_mixed.Returned()[i].scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(of_mixed.Returned()[i], of_plain.Returned()[i])) << "weight " << i;
  }
}

// Column sums depend on the inputs alone.
TEST(EncoderOps, BytesDoNotDependOnTheNumberOfThreads) {
  const int before = at::get_num_threads();
  std::vector<at::Tensor> first;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    Inputs in(384, at::kFloat, 0.1);
    const at::Tensor rows = in.Rows(384), bias = in.Vector(384), d_out = in.Rows(384);
    const Norm norm{.weight = in.Vector(384, 1), .bias = in.Vector(384), .epsilon = 1e-5};
    const EncoderOps& ops = EncoderOpsOf(at::kCPU);
    at::Tensor sum = rows.clone(), statistics = at::empty({rows.size(0), 2}), out = at::empty_like(rows),
               d_sum = at::empty_like(rows), d_product = at::empty_like(rows), table = at::zeros({60, 384});
    const NormGradients gradients{
        .weight = at::zeros_like(bias), .bias = at::zeros_like(bias), .product_bias = at::zeros_like(bias)};
    ops.AddNorm(sum, bias, rows, norm, in.mask, *in.plan, sum, statistics, out);
    at::Tensor unused;
    ops.AddNormBackward(d_out, {}, sum, statistics, norm, in.mask, *in.plan, d_sum, d_product, gradients, unused);
    ops.AddToRows(rows, in.batch.tokens.remainder(60), table);
    const std::vector<at::Tensor> results = {
        out, d_sum, d_product, gradients.weight, gradients.bias, gradients.product_bias, table};
    if (first.empty()) first = results;
    for (size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(at::equal(results[i], first[i])) << i << ", " << threads;
  }
  at::set_num_threads(before);
}

TEST(EncoderOps, NoneIsRegisteredForOtherDevices) { EXPECT_THROW(EncoderOpsOf(c10::DeviceType::XPU), c10::Error); }

}  // namespace
}  // namespace muster
