// activation_kernels.cu on the host, against f and numerical derivatives in float64.
#include "worker/rank/cuda/activation_kernels.h"

#include "worker/rank/cuda/testing/kernel_cases.h"

namespace muster::cuda {
namespace {

double Function(ActivationKind kind, double x) {
  switch (kind) {
    case ActivationKind::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case ActivationKind::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ActivationKind::kRelu:
      return std::max(x, 0.0);
    case ActivationKind::kSilu:
      return x / (1 + std::exp(-x));
    case ActivationKind::kTanh:
      return std::tanh(x);
  }
  return NAN;
}
// The derivative by central differences, exact to about 1e-9 away from ReLU's corner.
double Derivative(ActivationKind kind, double x) {
  constexpr double kStep = 1e-5;
  return (Function(kind, x + kStep) - Function(kind, x - kStep)) / (2 * kStep);
}

constexpr ActivationKind kKinds[] = {ActivationKind::kGelu, ActivationKind::kGeluTanh, ActivationKind::kRelu,
                                     ActivationKind::kSilu, ActivationKind::kTanh};

struct Shape {
  int64_t rows, width;
  uint32_t threshold;
};
const std::vector<Shape> kShapes = {{1, 1, 0}, {7, 13, 6554}, {3, 1040, 6554}, {1500, 9, 655}};

template <typename E>
class ActivationKernels : public testing::Test {};
using Elements = testing::Types<float, double, __nv_bfloat16>;
TYPED_TEST_SUITE(ActivationKernels, Elements);

// For one shape, kind and form: compares forward and backward with the definition.
template <typename E>
void Compare(const Shape& shape, ActivationKind kind, bool gated, bool with_bias) {
  using P = ParameterOfCase<E>;
  SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.width << ", kind " << static_cast<int>(kind)
                                  << (gated ? ", gated" : ""));
  const int64_t inputs = gated ? 2 * shape.width : shape.width;
  const Sequences sequences(shape.rows);
  const RowsMask mask = sequences.Mask(shape.threshold);
  const auto x = RandomNumbers<E>(shape.rows * inputs, 1, 4), d_out = RandomNumbers<E>(shape.rows * shape.width, 2);
  const auto bias = RandomNumbers<P>(inputs, 3);
  const auto input = [&](int64_t r, int64_t i) {
    return static_cast<double>(x[r * inputs + i]) + (with_bias ? static_cast<double>(bias[i]) : 0);
  };
  std::vector<double> out, d_x(shape.rows * inputs), d_bias(inputs, 1);
  for (int64_t r = 0; r < shape.rows; ++r) {
    for (int64_t i = 0; i < shape.width; ++i) {
      const double factor = MaskFactor(mask, r, shape.width, i), a = input(r, i);
      const double gate = gated ? input(r, shape.width + i) : 1, d = static_cast<double>(d_out[r * shape.width + i]) * factor;
      out.push_back(Function(kind, a) * gate * factor);
      d_x[r * inputs + i] = d * gate * Derivative(kind, a);
      if (gated) d_x[r * inputs + shape.width + i] = d * Function(kind, a);
    }
    for (int64_t i = 0; i < inputs; ++i) d_bias[i] += d_x[r * inputs + i];
  }
  std::vector<P> first;
  host_cuda::InEveryOrder([&] {
    auto own_out = Unwritten<E>(shape.rows * shape.width), again = own_out;
    auto own_d_x = Unwritten<E>(shape.rows * inputs);
    auto partial = Unwritten<P>(PartialRows(shape.rows) * inputs);
    std::vector<P> own_bias(inputs, 1);
    ActivationJob job{.element = kElementOf<E>, .kind = kind, .gated = gated, .rows = shape.rows, .width = shape.width,
                      .x = x.data(), .bias = with_bias ? bias.data() : nullptr, .mask = mask, .out = own_out.data()};
    ASSERT_EQ(Activate(job, nullptr), cudaSuccess);
    EXPECT_CLOSE(own_out, out, kBoundOf<E>);
    ActivationBackwardJob back{job};
    back.out = again.data(), back.d_out = d_out.data(), back.d_x = own_d_x.data();
    back.d_bias = own_bias.data(), back.partial = partial.data();
    ASSERT_EQ(ActivateBackward(back, nullptr), cudaSuccess);
    EXPECT_TRUE(SameBytes(again, own_out)) << "the backward gives the forward's output again";
    // Central differences have about nine correct digits.
    EXPECT_CLOSE(own_d_x, d_x, std::max(kBoundOf<E>, 1e-7));
    EXPECT_CLOSE(own_bias, d_bias, std::max(kSumBoundOf<P>, 1e-7));
    if (first.empty()) first = own_bias;
    EXPECT_TRUE(SameBytes(own_bias, first));
    // In place, and without the optional outputs.
    if (gated) return;
    std::vector<E> in_place = d_out;
    back.out = nullptr, back.d_out = back.d_x = in_place.data(), back.d_bias = back.partial = nullptr;
    ASSERT_EQ(ActivateBackward(back, nullptr), cudaSuccess);
    EXPECT_TRUE(SameBytes(in_place, own_d_x));
  });
}

TYPED_TEST(ActivationKernels, ForwardAndBackwardOfEveryKindAndShape) {
  for (const Shape& shape : kShapes) {
    for (const ActivationKind kind : kKinds) {
      if (shape.rows > 1000 && kind != ActivationKind::kGelu) continue;  // the kinds differ only in the formula per element
      Compare<TypeParam>(shape, kind, /*gated=*/false, /*with_bias=*/true);
      Compare<TypeParam>(shape, kind, /*gated=*/true, /*with_bias=*/false);
    }
  }
  Compare<TypeParam>({5, 17, 6554}, ActivationKind::kSilu, /*gated=*/true, /*with_bias=*/true);
}

TYPED_TEST(ActivationKernels, NaNStaysNaN) {
  using E = TypeParam;
  for (const ActivationKind kind : kKinds) {
    const std::vector<E> x(3, static_cast<E>(NAN));
    std::vector<E> out(3);
    ASSERT_EQ(Activate({.element = kElementOf<E>, .kind = kind, .rows = 1, .width = 3, .x = x.data(), .out = out.data()},
                       nullptr),
              cudaSuccess);
    for (const E value : out) EXPECT_TRUE(std::isnan(static_cast<double>(value))) << static_cast<int>(kind);
  }
}

}  // namespace
}  // namespace muster::cuda
