// The two products of a tile: the scores, and a gradient from weighted scores. Their sums are float32, or float64.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

namespace muster {

// An operand of a product: one matrix, or a sum of bfloat16 matrices. Tensor cores multiply bfloat16 into float32 sums many
// times as fast as they multiply float32. Part i is the rounded remainder after the earlier parts, so three parts are within
// 2^-24 of each number, which is float32's precision. A bfloat16 matrix is its own single part.
class Operand {
 public:
  static Operand Whole(at::Tensor matrix) { return Operand(std::move(matrix), {}); }
  static Operand Split(const at::Tensor& matrix);

  Operand Rows(int64_t first, int64_t count) const;
  Operand Transposed() const;
  const at::Tensor& whole() const { return whole_; }
  const std::vector<at::Tensor>& parts() const { return parts_; }  // the largest first; empty: not split

 private:
  Operand(at::Tensor whole, std::vector<at::Tensor> parts) : whole_(std::move(whole)), parts_(std::move(parts)) {}
  at::Tensor whole_;
  std::vector<at::Tensor> parts_;
};

// Multiplies only those parts of split operands that matter: six products of two float32 matrices, three of a float32
// and a bfloat16 one, one of two bfloat16 ones. Apart from the rounding of sums each number is within 5 * 2^-24 of the sum
// of |a_i| |b_i|.

// out <- factor * queries passages^T. out: [h, w], queries: [h, d], passages: [w, d].
void Scores(const Operand& queries, const Operand& passages, double factor, at::Tensor& out);

// out += weights embeddings. weights: [h, w], embeddings: [w, d], out: [h, d].
void AddWeighted(const Operand& weights, const Operand& embeddings, at::Tensor out);

}  // namespace muster
