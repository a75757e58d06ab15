// Bias, activation, gate and dropout in one pass over a row, and their backward.
#include <cmath>
#include <vector>

#include "worker/rank/model/cpu_encoder_ops.h"
#include "worker/rank/model/cpu_rows.h"

namespace muster::cpu {
namespace {

// f(x) and f'(x). float32 by the polynomials of common/vector.h, float64 by the C library.
template <Activation kind>
MUSTER_INLINE void Evaluate(const Floats& x, Floats& value, Floats& derivative) {
  if constexpr (kind == Activation::kGelu) {
    Floats distribution, density;
    Normal(x, distribution, density);
    value = x * distribution;
    derivative = distribution + x * density;
  } else if constexpr (kind == Activation::kGeluTanh) {
    // (1 + tanh(u)) / 2 is the sigmoid of 2 u, whose derivative does not cancel: 1 - sigmoid is e * sigmoid.
    constexpr float kTwiceRoot = 1.595769121605730711f, kCube = 0.044715f;
    Floats e = x * -kTwiceRoot * (1.0f + kCube * x * x);
    Exp(e);
    const Floats sigmoid = 1.0f / (1.0f + e);
    value = x * sigmoid;
    derivative = sigmoid + value * (e * sigmoid) * kTwiceRoot * (1.0f + 3 * kCube * x * x);
  } else if constexpr (kind == Activation::kSilu) {
    Floats e = -x;
    Exp(e);
    const Floats sigmoid = 1.0f / (1.0f + e);
    value = x * sigmoid;
    derivative = sigmoid + value * (e * sigmoid);
  } else if constexpr (kind == Activation::kTanh) {
    value = x;
    Tanh(value);
    derivative = 1.0f - value * value;
  } else {
    value = x > 0 ? x : Floats{};
    derivative = x > 0 ? Floats{} + 1.0f : Floats{};
  }
  // Keeps NaN, because comparisons with NaN are false.
  value = x == x ? value : x;
}

template <Activation kind>
void EvaluateOne(double x, double& value, double& derivative) {
  if constexpr (kind == Activation::kGelu) {
    const double distribution = 0.5 * (1 + std::erf(x * M_SQRT1_2));
    value = x * distribution;
    derivative = distribution + x * std::exp(-0.5 * x * x) * (M_2_SQRTPI * M_SQRT1_2 * 0.5);
  } else if constexpr (kind == Activation::kGeluTanh) {
    constexpr double kRoot = M_2_SQRTPI * M_SQRT1_2, kCube = 0.044715;
    const double t = std::tanh(kRoot * x * (1 + kCube * x * x));
    value = 0.5 * x * (1 + t);
    derivative = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * kRoot * (1 + 3 * kCube * x * x);
  } else if constexpr (kind == Activation::kSilu) {
    const double sigmoid = 1 / (1 + std::exp(-x));
    value = x * sigmoid;
    derivative = sigmoid * (1 + x * (1 - sigmoid));
  } else if constexpr (kind == Activation::kTanh) {
    value = std::tanh(x);
    derivative = 1 - value * value;
  } else {
    value = std::isnan(x) ? x : x > 0 ? x : 0;
    derivative = x > 0;
  }
}
template <Activation kind>
MUSTER_INLINE void Evaluate(const Doubles& x, Doubles& value, Doubles& derivative) {
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    double v, d;
    EvaluateOne<kind>(x[lane], v, d);
    value[lane] = v;
    derivative[lane] = d;
  }
}

template <typename E>
struct Job {
  using P = ParameterOf<E>;
  const E* x;
  const P* bias;
  const RowMask& mask;
  const SequencePlan& plan;
  int64_t width;  // of the output
  bool gated;
  const E* d_out;  // only for the backward
  E* d_x;
  E* out;  // null: not computed
  int64_t InputWidth() const { return gated ? 2 * width : width; }

  // Columns [i, i + count) of x + bias in row r of the input.
  template <typename Vector>
  MUSTER_INLINE void Input(int64_t r, int64_t i, int64_t count, Vector& to) const {
    LoadSome(x + r * InputWidth() + i, count, to);
    if (bias == nullptr) return;
    Vector other;
    LoadSome(bias + i, count, other);
    to += other;
  }
};

template <typename E, Activation kind>
MUSTER_VECTOR_CLONES void ActivateRows(const Job<E>& job, int64_t begin, int64_t end) {
  using P = ParameterOf<E>;
  using Vector = typename Of<E>::Vector;
  RowMasks masks(job.mask, job.plan, job.width);
  for (int64_t r = begin; r < end; ++r) {
    const uint16_t* decisions = masks.Draw(r);
    for (int64_t i = 0; i < job.width; i += kLanes) {
      const int64_t count = std::min(kLanes, job.width - i);
      Vector x, value, derivative;
      job.Input(r, i, count, x);
      Evaluate<kind>(x, value, derivative);
      if (job.gated) {
        job.Input(r, job.width + i, count, x);
        value *= x;
      }
      if (decisions != nullptr) Drop(decisions + i, masks.threshold(), static_cast<P>(masks.scale()), value);
      StoreSome(value, count, job.out + r * job.width + i);
    }
  }
}

// sums: of the columns of d_x.
template <typename E, Activation kind>
MUSTER_VECTOR_CLONES void ActivateRowsBackward(const Job<E>& job, int64_t begin, int64_t end, ParameterOf<E>* sums) {
  using P = ParameterOf<E>;
  using Vector = typename Of<E>::Vector;
  RowMasks masks(job.mask, job.plan, job.width);
  for (int64_t r = begin; r < end; ++r) {
    const uint16_t* decisions = masks.Draw(r);
    E* d_x = job.d_x + r * job.InputWidth();
    for (int64_t i = 0; i < job.width; i += kLanes) {
      const int64_t count = std::min(kLanes, job.width - i);
      Vector x, value, derivative, d;
      job.Input(r, i, count, x);
      LoadSome(job.d_out + r * job.width + i, count, d);
      Evaluate<kind>(x, value, derivative);
      if (decisions != nullptr) Drop(decisions + i, masks.threshold(), static_cast<P>(masks.scale()), d);
      derivative *= d;
      if (job.gated) {
        Vector gate;
        job.Input(r, job.width + i, count, gate);
        derivative *= gate;
        d *= value;
        value *= gate;
        if (sums != nullptr) AddSome(d, count, sums + job.width + i);
        StoreSome(d, count, d_x + job.width + i);
      }
      if (sums != nullptr) AddSome(derivative, count, sums + i);
      StoreSome(derivative, count, d_x + i);
      if (job.out == nullptr) continue;
      if (decisions != nullptr) Drop(decisions + i, masks.threshold(), static_cast<P>(masks.scale()), value);
      StoreSome(value, count, job.out + r * job.width + i);
    }
  }
}

// Calls operation.operator()<kind>().
template <typename Operation>
void WithActivation(Activation activation, const Operation& operation) {
  switch (activation) {
    case Activation::kGelu:
      return operation.template operator()<Activation::kGelu>();
    case Activation::kGeluTanh:
      return operation.template operator()<Activation::kGeluTanh>();
    case Activation::kRelu:
      return operation.template operator()<Activation::kRelu>();
    case Activation::kSilu:
      return operation.template operator()<Activation::kSilu>();
    case Activation::kTanh:
      return operation.template operator()<Activation::kTanh>();
  }
}

}  // namespace

void Activate(const at::Tensor& x, const at::Tensor& bias, Activation activation, bool gated, const RowMask& mask,
              const SequencePlan& plan, at::Tensor& out) {
  WithElementType(x, "rows", [&](auto zero) {
    using E = decltype(zero);
    const Job<E> job{.x = x.const_data_ptr<E>(),
                     .bias = DataOf<ParameterOf<E>>(bias),
                     .mask = mask,
                     .plan = plan,
                     .width = out.size(1),
                     .gated = gated,
                     .d_out = nullptr,
                     .d_x = nullptr,
                     .out = out.mutable_data_ptr<E>()};
    WithActivation(activation, [&]<Activation kind>() {
      ForBlocks(x.size(0), x.size(1),
                [&](int64_t, int64_t begin, int64_t end) { ActivateRows<E, kind>(job, begin, end); });
    });
  });
}

void ActivateBackward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& bias, Activation activation,
                      bool gated, const RowMask& mask, const SequencePlan& plan, at::Tensor& d_x,
                      const at::Tensor& d_bias, at::Tensor& out) {
  const int64_t rows = x.size(0), width = x.size(1);
  WithElementType(x, "rows", [&](auto zero) {
    using E = decltype(zero);
    using P = ParameterOf<E>;
    const Job<E> job{.x = x.const_data_ptr<E>(),
                     .bias = DataOf<P>(bias),
                     .mask = mask,
                     .plan = plan,
                     .width = d_out.size(1),
                     .gated = gated,
                     .d_out = d_out.const_data_ptr<E>(),
                     .d_x = d_x.mutable_data_ptr<E>(),
                     .out = MutableDataOf<E>(out)};
    const bool sums_wanted = d_bias.defined();
    BlockSums<P> sums(sums_wanted ? rows : 0, 1, width, x.options().dtype(c10::CppTypeToScalarType<P>::value));
    WithActivation(activation, [&]<Activation kind>() {
      ForBlocks(rows, width, [&](int64_t block, int64_t begin, int64_t end) {
        ActivateRowsBackward<E, kind>(job, begin, end, sums_wanted ? sums.OfBlock(block) : nullptr);
      });
    });
    sums.AddTo(0, d_bias);
  });
}

}  // namespace muster::cpu
