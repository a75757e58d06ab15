// Compares products of an encoder's shapes by our own kernels with torch's, in turns: muster-product-bench [THREADS]
// [REPEATS].
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

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

void Measure(const Shape& shape, int repeats) {
  using Clock = std::chrono::steady_clock;
  const at::Tensor x = at::randn({shape.tokens, shape.in}), weight = at::randn({shape.out, shape.in}),
                   y = at::randn({shape.tokens, shape.out});
  at::Tensor forward = at::empty_like(y), backward = at::empty_like(x), gradient = at::zeros_like(weight);
  const std::pair<const char*, std::function<void(bool)>> forms[] = {
      {"forward",
       [&](bool own) { own ? MultiplyInto(x, weight.t(), {}, forward) : void(at::mm_out(forward, x, weight.t())); }},
      {"input's gradient",
       [&](bool own) { own ? MultiplyInto(y, weight, {}, backward) : void(at::mm_out(backward, y, weight)); }},
      {"weight's gradient",
       [&](bool own) { own ? AddProductTo(y.t(), x, gradient) : void(gradient.addmm_(y.t(), x)); }}};
  for (const auto& [name, product] : forms) {
    std::vector<double> seconds[2];
    for (int turn = -1; turn < repeats; ++turn) {
      for (const bool own : {false, true}) {
        const auto begin = Clock::now();
        product(own);
        if (turn >= 0) seconds[own].push_back(std::chrono::duration<double>(Clock::now() - begin).count());
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
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);  // as muster-rank
  at::set_num_threads(argc > 1 ? std::atoi(argv[1]) : 2);
  for (const muster::Shape& shape : muster::kShapes) muster::Measure(shape, argc > 2 ? std::atoi(argv[2]) : 9);
}
