// Compares our kernels with torch's on products of an encoder's shapes, alternating, after it measures the processor's peak:
// muster-product-bench [THREADS] [REPEATS]. It also says whether the encoder uses them on this processor.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "worker/rank/model/attention_tiles.h"
#include "worker/rank/product/cpu_product.h"
#include "worker/rank/product/matrix_product.h"

namespace muster {
namespace {

struct Shape {
  int64_t tokens, in, out;
};
constexpr Shape kShapes[] = {{2048, 384, 384},  {2048, 384, 1536}, {2048, 1536, 384}, {512, 384, 1536},
                             {8192, 384, 1536}, {2048, 768, 768},  {2048, 768, 3072}, {2048, 3072, 768}};

double MedianSeconds(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

using Clock = std::chrono::steady_clock;
double SecondsSince(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr int kChains = 12;  // independent sums, enough to hide the latency of a multiply-add

// Multiply-adds that read nothing but registers.
template <typename Vector>
MUSTER_INLINE float MultiplyAdd(int64_t rounds, float factor) {
  Vector sum[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sum[i] = Vector{} + static_cast<float>(i);
  const Vector by = Vector{} + factor;
#pragma GCC unroll 1
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) sum[i] = sum[i] * by + by;
  }
  float total = 0;
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) total += sum[i][0];
  return total;
}

struct Adder {
  float (*run)(int64_t rounds, float factor);
  int64_t width;
};
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target("arch=x86-64-v4"))) float AddV4(int64_t rounds, float factor) {
  return MultiplyAdd<Registers64::Vector>(rounds, factor);
}
__attribute__((target("arch=x86-64-v3"))) float AddV3(int64_t rounds, float factor) {
  return MultiplyAdd<Registers32::Vector>(rounds, factor);
}
Adder AdderOfProcessor() {
  if (__builtin_cpu_supports("x86-64-v4")) return {AddV4, kWidthOf<Registers64>};
  if (__builtin_cpu_supports("x86-64-v3")) return {AddV3, kWidthOf<Registers32>};
  return {MultiplyAdd<Registers16::Vector>, kWidthOf<Registers16>};
}
#else
Adder AdderOfProcessor() { return {MultiplyAdd<Registers16::Vector>, kWidthOf<Registers16>}; }
#endif

void MeasurePeak(int threads) {
  constexpr int64_t kRounds = 40'000'000;
  const Adder adder = AdderOfProcessor();
  std::vector<double> rates(threads);
  std::vector<std::thread> running;
  for (double& rate : rates) {
    running.emplace_back([&] {
      const auto begin = Clock::now();
      volatile float sink = adder.run(kRounds, 0.5f);
      static_cast<void>(sink);
      rate = 2e-9 * static_cast<double>(kRounds * kChains * adder.width) / SecondsSince(begin);
    });
  }
  for (std::thread& thread : running) thread.join();
  double total = 0;
  for (const double rate : rates) total += rate;
  std::printf("multiply-adds in registers, %d threads: %.1f GFLOP/s\n", threads, total);
}

void Measure(const Shape& shape, int repeats) {
  const at::Tensor x = at::randn({shape.tokens, shape.in}), weight = at::randn({shape.out, shape.in}),
                   y = at::randn({shape.tokens, shape.out});
  at::Tensor forward = at::empty_like(y), backward = at::empty_like(x), gradient = at::zeros_like(weight);
  const at::Tensor packed = PackForOwnProduct(weight.t());
  const std::pair<const char*, std::function<void(bool)>> forms[] = {
      {"forward",
       [&](bool own) {
         own ? RunOwnProduct(x, weight.t(), {}, false, forward) : void(at::mm_out(forward, x, weight.t()));
       }},
      {"forward, packed",
       [&](bool own) {
         own ? RunOwnProduct(x, weight.t(), {}, false, forward, packed) : void(at::mm_out(forward, x, weight.t()));
       }},
      {"input's gradient",
       [&](bool own) { own ? RunOwnProduct(y, weight, {}, false, backward) : void(at::mm_out(backward, y, weight)); }},
      {"weight's gradient",
       [&](bool own) { own ? RunOwnProduct(y.t(), x, {}, true, gradient) : void(gradient.addmm_(y.t(), x)); }}};
  for (const auto& [name, product] : forms) {
    std::vector<double> seconds[2];
    for (int turn = -1; turn < repeats; ++turn) {
      for (const bool own : {false, true}) {
        const auto begin = Clock::now();
        product(own);
        if (turn >= 0) seconds[own].push_back(SecondsSince(begin));
      }
    }
    const double flops = 2e-9 * static_cast<double>(shape.tokens * shape.in * shape.out);
    const double torch = flops / MedianSeconds(seconds[0]), own = flops / MedianSeconds(seconds[1]);
    std::printf(
        "%5ld tokens, %4ld to %4ld, %-17s: torch %6.1f GFLOP/s, own "
        "%6.1f, %.2f times\n",
        shape.tokens, shape.in, shape.out, name, torch, own, own / torch);
  }
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);  // as in muster-rank
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  at::set_num_threads(threads);
  muster::MeasurePeak(threads);
  std::printf("this processor %s our own kernels, and the encoder %s them\n",
              muster::CanRunOwnProducts() ? "can run" : "cannot run", muster::UsesOwnProducts() ? "uses" : "does not use");
  if (!muster::CanRunOwnProducts()) return 1;
  for (const muster::Shape& shape : muster::kShapes) muster::Measure(shape, argc > 2 ? std::atoi(argv[2]) : 9);
}
