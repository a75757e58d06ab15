#include "worker/rank/model/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <optional>

#include "common/random.h"
#include "common/vector.h"
#include "worker/rank/model/element_type.h"

namespace muster {
namespace {

constexpr int64_t kDecisionsPerBlock = 8;
constexpr int64_t kBlocksPerTile = 16;
constexpr int64_t kTile = kDecisionsPerBlock * kBlocksPerTile;
constexpr int64_t kElementsPerThread = 32768;  // below it another thread costs more than it saves

// Blocks [first, first + 16) of Philox(counter = {block, 0, 0}, key), lane by lane so that the compiler vectorizes;
// the same numbers as common/random.h's, which a test compares.
[[gnu::always_inline]] inline void PhiloxTile(uint64_t key, uint64_t first, uint16_t* decisions) {
  uint32_t c0[kBlocksPerTile], c1[kBlocksPerTile], c2[kBlocksPerTile], c3[kBlocksPerTile];
  for (int64_t i = 0; i < kBlocksPerTile; ++i) {
    c0[i] = static_cast<uint32_t>(first + i);
    c1[i] = static_cast<uint32_t>((first + i) >> 32);
    c2[i] = c3[i] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int64_t i = 0; i < kBlocksPerTile; ++i) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0[i];
      const uint64_t p1 = uint64_t{0xCD9E8D57} * c2[i];
      c0[i] = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<uint32_t>(p1);
      c2[i] = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int64_t i = 0; i < kBlocksPerTile; ++i) {
    const uint32_t words[4] = {c0[i], c1[i], c2[i], c3[i]};
    for (int64_t w = 0; w < 4; ++w) {
      decisions[i * 8 + 2 * w] = static_cast<uint16_t>(words[w]);
      decisions[i * 8 + 2 * w + 1] = static_cast<uint16_t>(words[w] >> 16);
    }
  }
}

// A: the type in which numbers of type T are computed.
template <typename A, typename T>
[[gnu::always_inline]] inline void ApplyMaskBody(uint64_t key, uint32_t threshold, A scale, int64_t size, const T* x,
                                                 T* out) {
  alignas(64) uint16_t decisions[kTile];
  for (int64_t begin = 0; begin < size; begin += kTile) {
    PhiloxTile(key, static_cast<uint64_t>(begin / kDecisionsPerBlock), decisions);
    const int64_t count = std::min(kTile, size - begin);
    for (int64_t i = 0; i < count; ++i) {
      out[begin + i] = static_cast<A>(x[begin + i]) * (decisions[i] < threshold ? A{0} : scale);
    }
  }
}

MUSTER_VECTOR_CLONES
void ApplyMaskFloat(uint64_t key, uint32_t threshold, float scale, int64_t size, const float* x, float* out) {
  ApplyMaskBody(key, threshold, scale, size, x, out);
}

MUSTER_VECTOR_CLONES
void ApplyMaskDouble(uint64_t key, uint32_t threshold, double scale, int64_t size, const double* x, double* out) {
  ApplyMaskBody(key, threshold, scale, size, x, out);
}

MUSTER_VECTOR_CLONES
void ApplyMaskBfloat16(uint64_t key, uint32_t threshold, float scale, int64_t size, const c10::BFloat16* x,
                       c10::BFloat16* out) {
  ApplyMaskBody(key, threshold, scale, size, x, out);
}

template <typename T>
void ApplyMaskToProbabilities(const at::Tensor& p, const Run& run, const DropoutRate& rate, int64_t layer,
                              const SequencePlan& plan, at::Tensor& out) {
  const int64_t each = p.numel() / run.count;
  const T* in = p.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  const int64_t grain = std::max<int64_t>(1, kElementsPerThread / each);
  at::parallel_for(0, run.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const uint64_t key = DropoutKey(plan.keys[run.first_sequence + s], {layer, DropoutSite::kProbabilities});
      ApplyMask(key, rate, each, in + s * each, to + s * each);
    }
  });
}

class CpuDropoutOps final : public DropoutOps {
 public:
  void MaskProbabilities(const at::Tensor& p, const Run& run, const DropoutRate& rate, int64_t layer,
                         const SequencePlan& plan, at::Tensor& out) const override {
    WithElementType(p, "dropout", [&](auto zero) { ApplyMaskToProbabilities<decltype(zero)>(p, run, rate, layer, plan, out); });
  }
};

// The operations of each type of device.
std::array<std::atomic<const DropoutOps*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES>& Registered() {
  static const CpuDropoutOps cpu;
  static std::array<std::atomic<const DropoutOps*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES> registered = {&cpu};
  static_assert(static_cast<int>(c10::DeviceType::CPU) == 0);
  return registered;
}

}  // namespace

DropoutRate::DropoutRate(double probability)
    : threshold(static_cast<uint32_t>(std::lround(probability * 65536))), scale(65536.0 / (65536.0 - threshold)) {
  TORCH_CHECK(probability >= 0 && threshold < 65536, "dropout probability ", probability, " is not in [0, 1)");
}

uint64_t DropoutKey(uint64_t sequence_key, const DropoutPlace& place) {
  return MixKey(MixKey(sequence_key, static_cast<uint64_t>(place.layer)), static_cast<uint64_t>(place.site));
}

void ApplyMask(uint64_t key, const DropoutRate& rate, int64_t size, const float* x, float* out) {
  ApplyMaskFloat(key, rate.threshold, static_cast<float>(rate.scale), size, x, out);
}
void ApplyMask(uint64_t key, const DropoutRate& rate, int64_t size, const double* x, double* out) {
  ApplyMaskDouble(key, rate.threshold, rate.scale, size, x, out);
}
void ApplyMask(uint64_t key, const DropoutRate& rate, int64_t size, const c10::BFloat16* x, c10::BFloat16* out) {
  ApplyMaskBfloat16(key, rate.threshold, static_cast<float>(rate.scale), size, x, out);
}

const DropoutOps& DropoutOpsOf(c10::DeviceType device) {
  const DropoutOps* ops = Registered()[static_cast<size_t>(device)].load();
  TORCH_CHECK(ops != nullptr, "no dropout is registered for ", device);
  return *ops;
}

void RegisterDropoutOps(c10::DeviceType device, const DropoutOps& ops) {
  Registered()[static_cast<size_t>(device)].store(&ops);
}

}  // namespace muster
