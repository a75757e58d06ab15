// Tokens per second of the encoder's forward and backward, MiniLM-sized, in one thread:
// muster-encoder-bench [LENGTH] [TOKENS] [DROPOUT].
#include <ATen/Parallel.h>
#include <ATen/ops/randint.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "worker/rank/model/encoder.h"

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  const int64_t mean_length = argc > 1 ? std::atoll(argv[1]) : 16;
  const int64_t tokens = argc > 2 ? std::atoll(argv[2]) : 2500;
  const double probability = argc > 3 ? std::atof(argv[3]) : 0.1;
  at::set_num_threads(1);

  muster::EncoderConfig config;
  config.hidden_size = 384;
  config.layers = 6;
  config.heads = 12;
  config.intermediate_size = 1536;
  const auto encoder = muster::Encoder::Random(config, 1).value();

  // Lengths spread evenly over half to one and a half times the mean.
  std::mt19937_64 random(1);
  muster::PackedBatch batch;
  int64_t total = 0;
  while (total < tokens) {
    batch.lengths.push_back(std::max<int64_t>(1, mean_length / 2 + static_cast<int64_t>(random() % (mean_length + 1))));
    batch.slots.push_back(static_cast<uint32_t>(batch.slots.size()));
    total += batch.lengths.back();
  }
  std::ranges::sort(batch.lengths);
  batch.tokens = at::randint(1000, {total}, at::kLong);
  std::vector<at::Tensor> values;
  for (const muster::Parameter& parameter : encoder->parameters()) values.push_back(parameter.value);

  double forward = 1e9, backward = 1e9;
  for (uint64_t step = 0; step < 8; ++step) {
    const auto begin = Clock::now();
    const at::Tensor embeddings =
        encoder->Encode(batch, {.hidden = probability, .attention = probability, .seed = 1, .step = step});
    const auto middle = Clock::now();
    torch::autograd::backward({embeddings.sum()}, {});
    const auto end = Clock::now();
    forward = std::min(forward, std::chrono::duration<double>(middle - begin).count());
    backward = std::min(backward, std::chrono::duration<double>(end - middle).count());
  }
  std::printf("length %lld, %lld tokens, dropout %g: forward %.0f ms, backward %.0f ms, %.0f tokens/s\n",
              static_cast<long long>(mean_length), static_cast<long long>(total), probability, 1e3 * forward,
              1e3 * backward, static_cast<double>(total) / (forward + backward));
}
