#include "worker/rank/product/cpu_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <string>
#include <thread>

#include "worker/rank/product/matrix_product.h"

namespace muster {
namespace {

class Products : public testing::Test {
 protected:
  void SetUp() override {
    if (!CanRunOwnProducts()) GTEST_SKIP() << "this processor has no AVX-512";
    at::set_num_threads(1);
    at::manual_seed(1);
  }
  void TearDown() override { at::set_num_threads(1); }

  static void MultiplyInto(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, at::Tensor& out) {
    RunOwnProduct(a, b, bias, /*add=*/false, out);
  }
  static void AddProductTo(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
    RunOwnProduct(a, b, {}, /*add=*/true, out);
  }
};

// A matrix that is stored directly, or as its transpose.
at::Tensor Random(int64_t rows, int64_t columns, bool transposed) {
  return transposed ? at::randn({columns, rows}).t() : at::randn({rows, columns});
}

// The largest error of an element, relative to the sum of the magnitudes of its terms.
double ErrorOf(const at::Tensor& own, const at::Tensor& a, const at::Tensor& b, const at::Tensor& before) {
  const at::Tensor exact = at::mm(a.to(at::kDouble), b.to(at::kDouble)) + before.to(at::kDouble),
                   size = at::mm(a.to(at::kDouble).abs(), b.to(at::kDouble).abs()) + before.to(at::kDouble).abs();
  return ((own.to(at::kDouble) - exact).abs() / size).max().item<double>();
}

// Partly filled tiles, panels and blocks, in all directions.
TEST_F(Products, OfEveryFormAndSizeAreTheExactOnes) {
  const std::array<int64_t, 3> sizes[] = {{1, 1, 1},     {11, 31, 17},  {12, 32, 16},     {13, 33, 512},
                                          {25, 385, 40}, {50, 48, 513}, {100, 400, 1100}, {7, 5, 5000}};
  for (const auto& [rows, columns, depth] : sizes) {
    for (const int form : {0, 1, 2, 3}) {
      const at::Tensor a = Random(rows, depth, form & 1), b = Random(depth, columns, form & 2),
                       bias = at::randn({columns}), before = at::randn({rows, columns});
      at::Tensor out = at::empty({rows, columns}), sum = before.clone(), biased = at::empty({rows, columns});
      MultiplyInto(a, b, {}, out);
      MultiplyInto(a, b, bias, biased);
      AddProductTo(a, b, sum);
      const std::string name = std::to_string(rows) + " " + std::to_string(columns) + " " + std::to_string(depth) +
                               " form " + std::to_string(form);
      EXPECT_LE(ErrorOf(out, a, b, at::zeros_like(out)), 1e-6) << name;
      EXPECT_LE(ErrorOf(biased, a, b, bias.expand_as(out)), 1e-6) << name;
      EXPECT_LE(ErrorOf(sum, a, b, before), 1e-6) << name;
    }
  }
}

// Queries, keys and values are columns of one tensor.
TEST_F(Products, WriteOnlyTheirColumns) {
  const at::Tensor a = at::randn({20, 40}), b = at::randn({40, 30}), whole = at::full({20, 100}, 7.0f);
  at::Tensor part = whole.narrow(1, 33, 30), alone = at::empty({20, 30});
  MultiplyInto(a, b, {}, part);
  MultiplyInto(a, b, {}, alone);
  EXPECT_TRUE(at::equal(part, alone));
  EXPECT_TRUE(at::equal(whole.narrow(1, 0, 33), at::full({20, 33}, 7.0f)));
  EXPECT_TRUE(at::equal(whole.narrow(1, 63, 37), at::full({20, 37}, 7.0f)));
}

TEST_F(Products, AreTheSameBitsOnAnyNumberOfThreads) {
  const at::Tensor a = at::randn({500, 700}), b = at::randn({700, 200});
  at::Tensor one = at::empty({500, 200}), other = at::empty({500, 200});
  MultiplyInto(a, b, {}, one);
  for (const int threads : {2, 3, 16}) {
    at::set_num_threads(threads);
    MultiplyInto(a, b, {}, other);
    EXPECT_TRUE(at::equal(one, other)) << threads << " threads";
  }
}

TEST_F(Products, ARowDoesNotDependOnTheOthers) {
  const at::Tensor a = at::randn({100, 600}), b = at::randn({600, 70});
  at::Tensor all = at::empty({100, 70}), some = at::empty({5, 70});
  MultiplyInto(a, b, {}, all);
  MultiplyInto(a.narrow(0, 41, 5), b, {}, some);
  EXPECT_TRUE(at::equal(all.narrow(0, 41, 5), some));
}

// Covers one part along `depth`, and several.
TEST_F(Products, AreTheSameBitsWithAPackedRightFactor) {
  for (const int64_t depth : {40, 1100, 5000}) {
    for (const bool transposed : {false, true}) {
      const at::Tensor a = at::randn({37, depth}), b = Random(depth, 70, transposed), bias = at::randn({70});
      at::Tensor plain = at::empty({37, 70}), packed = at::empty({37, 70});
      RunOwnProduct(a, b, bias, /*add=*/false, plain);
      // `b` itself is not read.
      RunOwnProduct(a, at::zeros_like(b), bias, /*add=*/false, packed, PackForOwnProduct(b));
      EXPECT_TRUE(at::equal(plain, packed)) << depth << " deep, transposed " << transposed;
    }
  }
}

// MKL would read `b` and ignore the copy.
TEST_F(Products, WithAPackedRightFactorAreOursOnEveryProcessorThatCanRunThem) {
  const at::Tensor a = at::randn({37, 40}), b = at::randn({40, 70}), bias = at::randn({70});
  at::Tensor ours = at::empty({37, 70}), out = at::empty({37, 70});
  RunOwnProduct(a, b, bias, /*add=*/false, ours);
  muster::MultiplyInto(a, at::zeros_like(b), bias, out, PackRightFactor(b));
  EXPECT_TRUE(at::equal(ours, out));
}

TEST_F(Products, KeepNotANumberAndInfinity) {
  at::Tensor a = at::ones({13, 20}), b = at::ones({20, 40}), out = at::empty({13, 40});
  a[3][7] = std::numeric_limits<float>::quiet_NaN();
  b[2][5] = std::numeric_limits<float>::infinity();
  MultiplyInto(a, b, {}, out);
  EXPECT_TRUE(out[3].isnan().all().item<bool>());
  EXPECT_TRUE(at::isinf(out[0][5]).item<bool>());
  EXPECT_EQ(out[0][6].item<float>(), 20);
}

// The encoder calls this function. torch multiplies other types, and matrices without a contiguous direction.
TEST(MatrixProduct, OfAnyTypeAndStrideIsTorchs) {
  at::set_num_threads(1);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor a = at::randn({20, 60}).to(type), b = at::randn({60, 10}).to(type),
                     bias = at::randn({10}).to(type);
    for (const at::Tensor& left : {a.narrow(1, 0, 30), a.slice(1, 0, 60, 2)}) {
      const at::Tensor right = b.narrow(0, 0, 30);
      at::Tensor out = at::empty({20, 10}, a.options()), sum = at::ones({20, 10}, a.options());
      MultiplyInto(left, right, bias, out);
      AddProductTo(left, right, sum);
      const double tolerance = type == at::kBFloat16 ? 0.1 : 1e-5;
      EXPECT_TRUE(at::allclose(out, at::addmm(bias, left, right), tolerance, tolerance)) << type;
      EXPECT_TRUE(at::allclose(sum, at::mm(left, right) + 1, tolerance, tolerance)) << type;
    }
  }
}

// If a file is compiled without OpenMP, at::parallel_for runs on one thread, and only this test notices.
TEST(ParallelFor, RunsOnAllThreads) {
  at::set_num_threads(2);
  std::atomic<int> arrived = 0;
  std::array<std::thread::id, 2> ids;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  at::parallel_for(0, 2, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ids[i] = std::this_thread::get_id();
    arrived += end > begin;
    while (arrived < 2 && end - begin < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  at::set_num_threads(1);
  EXPECT_NE(ids[0], ids[1]) << "compiled without -fopenmp (cmake/FindLibTorch.cmake)";
}

}  // namespace
}  // namespace muster
