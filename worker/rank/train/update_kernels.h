// The arithmetic of the update on the CPU: one pass over memory per parameter, and sums whose order is fixed.
#pragma once

#include <cstdint>

namespace muster {

// The constants of one AdamW update, equal for all elements of a tensor. `t` is the number of the update, from 1.
struct AdamWFactors {
  double gradient = 1;          // multiplies the gradient: the clip factor
  double keep = 1;              // 1 - rate * decay
  double beta1 = 0.9, beta2 = 0.999;
  double step = 0;              // rate / (1 - beta1^t)
  double root = 1;              // sqrt(1 - beta2^t)
  double epsilon = 1e-8;
};

// Updates `size` elements: reads the gradient; reads and writes parameter, average and square, once each.
template <typename T>
void ApplyAdamW(const AdamWFactors& factors, int64_t size, const T* gradient, T* value, T* average, T* square);

// The sum of squares, in double. Its order depends only on `size`, and a product of two floats is exact in double. So for
// floats, every processor and every number of threads gives the same bits.
template <typename T>
double SumOfSquares(const T* values, int64_t size);

}  // namespace muster
