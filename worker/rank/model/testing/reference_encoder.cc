#include "worker/rank/model/testing/reference_encoder.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "absl/container/flat_hash_map.h"
#include "common/random.h"

namespace muster {
namespace {

using Named = absl::flat_hash_map<std::string, at::Tensor>;

struct Padded {
  int64_t sequences, longest;
  at::Tensor tokens;  // [sequences, longest]
  at::Tensor real;    // bool [sequences, longest]
};

Padded Pad(const PackedBatch& batch) {
  const int64_t longest = *std::ranges::max_element(batch.lengths);
  Padded padded{batch.size(), longest, at::zeros({batch.size(), longest}, at::kLong),
                at::zeros({batch.size(), longest}, at::kBool)};
  int64_t row = 0;
  for (int64_t s = 0; s < batch.size(); ++s) {
    padded.tokens[s].narrow(0, 0, batch.lengths[s]).copy_(batch.tokens.narrow(0, row, batch.lengths[s]));
    padded.real[s].narrow(0, 0, batch.lengths[s]).fill_(true);
    row += batch.lengths[s];
  }
  return padded;
}

// The factors of the elements of one sequence at one site: 0, or 1 / (share kept).
at::Tensor MaskOf(const Dropout& dropout, double probability, uint32_t slot, int64_t layer, int64_t site,
                  int64_t size) {
  const uint64_t key = MixKey(MixKey(MixKey(MixKey(dropout.seed, dropout.step), slot), layer), site);
  const auto threshold = static_cast<uint32_t>(std::lround(probability * 65536));
  at::Tensor mask = at::empty({size}, at::kDouble);
  for (int64_t e = 0; e < size; ++e) {
    const auto block = Philox({static_cast<uint32_t>(e / 8), 0, 0, 0}, key);
    const uint32_t decision = block[e / 2 % 4] >> (e % 2 * 16) & 0xffff;
    mask.data_ptr<double>()[e] = decision < threshold ? 0 : 65536.0 / (65536.0 - threshold);
  }
  return mask;
}

at::Tensor HiddenMask(const PackedBatch& batch, const Dropout& dropout, int64_t layer, int64_t site, int64_t longest,
                      int64_t hidden) {
  at::Tensor mask = at::ones({batch.size(), longest, hidden}, at::kDouble);
  if (dropout.hidden == 0) return mask;
  for (int64_t s = 0; s < batch.size(); ++s) {
    const int64_t length = batch.lengths[s];
    mask[s].narrow(0, 0, length)
        .copy_(MaskOf(dropout, dropout.hidden, batch.slots[s], layer, site, length * hidden).view({length, hidden}));
  }
  return mask;
}

at::Tensor ProbabilityMask(const PackedBatch& batch, const Dropout& dropout, int64_t layer, int64_t longest,
                           int64_t heads) {
  at::Tensor mask = at::ones({batch.size(), heads, longest, longest}, at::kDouble);
  if (dropout.attention == 0) return mask;
  for (int64_t s = 0; s < batch.size(); ++s) {
    const int64_t length = batch.lengths[s];
    mask[s].narrow(1, 0, length)
        .narrow(2, 0, length)
        .copy_(MaskOf(dropout, dropout.attention, batch.slots[s], layer, 3, heads * length * length)
                   .view({heads, length, length}));
  }
  return mask;
}

at::Tensor Linear(const Named& named, const std::string& name, const at::Tensor& x) {
  return at::matmul(x, named.at(name + ".weight").t()) + named.at(name + ".bias");
}

at::Tensor Norm(const Named& named, const std::string& name, const at::Tensor& x, double epsilon) {
  const at::Tensor centered = x - x.mean(-1, true);
  return centered / (centered.square().mean(-1, true) + epsilon).sqrt() * named.at(name + ".weight") +
         named.at(name + ".bias");
}

at::Tensor Attention(const Named& named, const std::string& layer, const at::Tensor& x, const at::Tensor& real,
                     int64_t heads, const at::Tensor& mask) {
  const int64_t n = x.size(0), length = x.size(1), d = x.size(2) / heads;
  const auto split = [&](const char* name) {
    return Linear(named, layer + ".attention.self." + name, x).view({n, length, heads, d}).transpose(1, 2);
  };
  at::Tensor scores = at::matmul(split("query"), split("key").transpose(2, 3)) / std::sqrt(static_cast<double>(d));
  scores = scores.masked_fill(real.logical_not().view({n, 1, 1, length}), -std::numeric_limits<double>::infinity());
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1) * mask, split("value"));
  return mixed.transpose(1, 2).reshape({n, length, heads * d});
}

at::Tensor Pool(const at::Tensor& x, const PackedBatch& batch, PoolingMode mode) {
  std::vector<at::Tensor> rows;
  for (int64_t s = 0; s < batch.size(); ++s) {
    const at::Tensor own = x[s].narrow(0, 0, batch.lengths[s]);
    rows.push_back(mode == PoolingMode::kMean ? own.sum(0) / batch.lengths[s]
                   : mode == PoolingMode::kCls ? own[0]
                                               : own[batch.lengths[s] - 1]);
  }
  return at::stack(rows);
}

}  // namespace

at::Tensor ReferenceEncode(const Encoder& encoder, const PackedBatch& batch, const Dropout& dropout) {
  const EncoderConfig& config = encoder.config();
  Named named;
  for (const Parameter& parameter : encoder.parameters()) named[parameter.name] = parameter.value;
  const Padded padded = Pad(batch);
  const auto hidden_mask = [&](int64_t layer, int64_t site) {
    return HiddenMask(batch, dropout, layer, site, padded.longest, config.hidden_size);
  };
  at::Tensor x = named.at("embeddings.word_embeddings.weight").index({padded.tokens}) +
                 named.at("embeddings.position_embeddings.weight").narrow(0, 0, padded.longest) +
                 named.at("embeddings.token_type_embeddings.weight")[0];
  x = Norm(named, "embeddings.LayerNorm", x, config.layer_norm_epsilon) * hidden_mask(0, 0);
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i);
    const at::Tensor mixed = Attention(named, layer, x, padded.real, config.heads,
                                       ProbabilityMask(batch, dropout, i, padded.longest, config.heads));
    x = Norm(named, layer + ".attention.output.LayerNorm",
             x + Linear(named, layer + ".attention.output.dense", mixed) * hidden_mask(i, 1),
             config.layer_norm_epsilon);
    const at::Tensor inner = Linear(named, layer + ".intermediate.dense", x);
    const at::Tensor gelu = inner * 0.5 * (1 + at::erf(inner / std::sqrt(2.0)));
    x = Norm(named, layer + ".output.LayerNorm",
             x + Linear(named, layer + ".output.dense", gelu) * hidden_mask(i, 2), config.layer_norm_epsilon);
  }
  const at::Tensor pooled = Pool(x, batch, config.pooling);
  return config.normalize ? pooled / pooled.square().sum(1, true).sqrt() : pooled;
}

PackedBatch RandomBatch(const EncoderConfig& config, std::vector<int64_t> lengths, uint64_t seed) {
  std::ranges::sort(lengths);
  PackedBatch batch{.lengths = lengths};
  CounterRandom random(seed);
  batch.tokens = at::empty({std::accumulate(lengths.begin(), lengths.end(), int64_t{0})}, at::kLong);
  for (int64_t i = 0; i < batch.tokens.numel(); ++i) {
    batch.tokens.data_ptr<int64_t>()[i] = static_cast<int64_t>(random.Below(config.vocabulary_size));
  }
  for (size_t s = 0; s < lengths.size(); ++s) batch.slots.push_back(static_cast<uint32_t>(100 + s));
  return batch;
}

PackedBatch SliceBatch(const PackedBatch& batch, int64_t first, int64_t count) {
  const auto sum = [&](int64_t begin, int64_t end) {
    return std::accumulate(batch.lengths.begin() + begin, batch.lengths.begin() + end, int64_t{0});
  };
  PackedBatch slice;
  slice.lengths.assign(batch.lengths.begin() + first, batch.lengths.begin() + first + count);
  slice.slots.assign(batch.slots.begin() + first, batch.slots.begin() + first + count);
  slice.tokens = batch.tokens.narrow(0, sum(0, first), sum(first, first + count)).clone();
  return slice;
}

EncoderConfig SmallConfig() {
  EncoderConfig config;
  config.vocabulary_size = 97;
  config.hidden_size = 24;
  config.layers = 3;
  config.heads = 3;
  config.intermediate_size = 40;
  config.max_positions = 64;
  config.max_sequence_length = 64;
  return config;
}

double LargestDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace muster
