// Our own kernels for products of float32 matrices, for AVX-512 processors on which MKL uses only AVX2.
#pragma once

#include <cstdint>

namespace muster {

// Element (i, j) of a matrix: data[i * row + j * column]. One of the strides is 1.
struct Matrix {
  const float* data;
  int64_t row, column;
};

// out = a b, plus the bias if it exists; or out += a b.
struct ProductJob {
  int64_t rows, columns, depth;  // out: [rows, columns]; a: [rows, depth]; b: [depth, columns]
  Matrix a, b;
  const float* packed_b = nullptr;  // by PackRightFactor: `b` is not read
  const float* bias = nullptr;      // [columns]
  bool add = false;                 // excludes a bias
  float* out;
  int64_t out_row;  // from one row of `out` to the next
};

// Whether this processor has AVX-512, which the kernels need.
bool CanRunOwnProducts();
// Whether the kernels are used instead of MKL's for products whose right factor is not packed: on AMD's processors, where
// they were measured to be faster. It depends on the processor and on nothing else, since two kinds of kernels round
// differently.
bool UsesOwnProducts();

// Runs on the threads of at::parallel_for. A row of `out` is the same bits whatever the other rows are, and however many
// threads compute: products along `depth` are summed in ascending order within blocks of kProductDepth, and the sums of
// the blocks are added to `out` in ascending order. Only where CanRunOwnProducts().
void OwnProduct(const ProductJob& job);

inline constexpr int64_t kProductDepth = 512;

// Copies `b` in the order in which products read it. This saves work if many products have the same `b`, because each makes the
// copy otherwise. The bits of a product do not depend on it. Runs on the threads of at::parallel_for.
void PackRightFactor(const Matrix& b, int64_t depth, int64_t columns, float* to);
int64_t PackedRightFactorSize(int64_t depth, int64_t columns);  // in floats

}  // namespace muster
