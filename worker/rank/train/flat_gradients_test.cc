#include "worker/rank/train/flat_gradients.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <cmath>

namespace muster {
namespace {

// Counts the bytes that torch allocates on the CPU.
class CountingAllocator final : public c10::Allocator {
 public:
  CountingAllocator() : inner_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, /*priority=*/255); }
  ~CountingAllocator() override { c10::SetCPUAllocator(inner_, /*priority=*/255); }
  CountingAllocator(const CountingAllocator&) = delete;
  CountingAllocator& operator=(const CountingAllocator&) = delete;

  c10::DataPtr allocate(size_t bytes) override {
    bytes_ += bytes;
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t count) const override { inner_->copy_data(to, from, count); }
  size_t bytes() const { return bytes_; }

 private:
  c10::Allocator* const inner_;
  size_t bytes_ = 0;
};

// Their sizes are not multiples of a vector, of a block of the sum, or of a bucket.
std::vector<Parameter> SomeParameters(at::ScalarType type) {
  std::vector<Parameter> parameters;
  for (const int64_t size : {100003, 7, 1, 33000}) {
    parameters.push_back({"p", at::zeros({size}, type).set_requires_grad(true)});
  }
  return parameters;
}

TEST(FlatGradients, NormIsThatOfAllGradientsWithTheSameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    std::vector<Parameter> parameters = SomeParameters(type);
    FlatGradients gradients(parameters);
    double expected = 0;
    for (size_t i = 0; i < parameters.size(); ++i) {
      gradients.views()[i].copy_(at::sin(at::arange(parameters[i].value.numel(), at::kDouble) * (1.3 + i)));
      expected += gradients.views()[i].to(at::kDouble).square().sum().item<double>();
    }
    std::vector<double> norms;
    for (const int count : {1, 2, 3}) {
      at::set_num_threads(count);
      norms.push_back(gradients.Norm());
    }
    at::set_num_threads(threads);
    EXPECT_NEAR(norms[0], std::sqrt(expected), 1e-12 * std::sqrt(expected));
    EXPECT_EQ(norms[1], norms[0]);
    EXPECT_EQ(norms[2], norms[0]);
  }
}

TEST(FlatGradients, NormMakesNoCopy) {
  std::vector<Parameter> parameters = SomeParameters(at::kFloat);
  const FlatGradients gradients(parameters);
  const CountingAllocator counting;
  EXPECT_EQ(gradients.Norm(), 0);
  EXPECT_LE(counting.bytes(), 1024u);
}

TEST(FlatGradients, ANumberThatIsNotFiniteIsSeenInTheNorm) {
  std::vector<Parameter> parameters = SomeParameters(at::kFloat);
  const FlatGradients gradients(parameters);
  gradients.views()[3][32999].fill_(INFINITY);
  EXPECT_FALSE(std::isfinite(gradients.Norm()));
  gradients.views()[3][32999].fill_(NAN);
  EXPECT_FALSE(std::isfinite(gradients.Norm()));
}

}  // namespace
}  // namespace muster
