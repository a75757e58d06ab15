#include "worker/rank/model/encoder_ops.h"

#include <ATen/record_function.h>

#include <array>
#include <atomic>

#include "worker/rank/model/cpu_encoder_ops.h"

namespace muster {
namespace {

// Each operation has a name in profiles, in addition to torch's own.
const std::vector<c10::IValue> kNoInputs;

class CpuEncoderOps final : public EncoderOps {
 public:
  void EmbedNorm(const EmbeddingTables& tables, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
                 at::Tensor& statistics, at::Tensor& out) const override {
    RECORD_FUNCTION("muster::EmbedNorm", kNoInputs);
    cpu::EmbedNorm(tables, norm, mask, plan, statistics, out);
  }
  void EmbedNormBackward(const at::Tensor& d_out, const EmbeddingTables& tables, const Norm& norm, const RowMask& mask,
                         const SequencePlan& plan, const at::Tensor& statistics, at::Tensor& d_sum,
                         const NormGradients& gradients) const override {
    RECORD_FUNCTION("muster::EmbedNormBackward", kNoInputs);
    cpu::EmbedNormBackward(d_out, tables, norm, mask, plan, statistics, d_sum, gradients);
  }
  void AddToRows(const at::Tensor& rows, const at::Tensor& indices, at::Tensor& table) const override {
    RECORD_FUNCTION("muster::AddToRows", kNoInputs);
    cpu::AddToRows(rows, indices, table);
  }
  void AddNorm(const at::Tensor& product, const at::Tensor& bias, const at::Tensor& residual, const Norm& norm,
               const RowMask& mask, const SequencePlan& plan, at::Tensor& sum, at::Tensor& statistics,
               at::Tensor& out) const override {
    RECORD_FUNCTION("muster::AddNorm", kNoInputs);
    cpu::AddNorm(product, bias, residual, norm, mask, plan, sum, statistics, out);
  }
  void AddNormBackward(const at::Tensor& d_out, const at::Tensor& d_sum_before, const at::Tensor& sum,
                       const at::Tensor& statistics, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
                       at::Tensor& d_sum, at::Tensor& d_product, const NormGradients& gradients,
                       at::Tensor& out) const override {
    RECORD_FUNCTION("muster::AddNormBackward", kNoInputs);
    cpu::AddNormBackward(d_out, d_sum_before, sum, statistics, norm, mask, plan, d_sum, d_product, gradients, out);
  }
  void Activate(const at::Tensor& x, const at::Tensor& bias, Activation activation, bool gated, const RowMask& mask,
                const SequencePlan& plan, at::Tensor& out) const override {
    RECORD_FUNCTION("muster::Activate", kNoInputs);
    cpu::Activate(x, bias, activation, gated, mask, plan, out);
  }
  void ActivateBackward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& bias, Activation activation,
                        bool gated, const RowMask& mask, const SequencePlan& plan, at::Tensor& d_x,
                        const at::Tensor& d_bias, at::Tensor& out) const override {
    RECORD_FUNCTION("muster::ActivateBackward", kNoInputs);
    cpu::ActivateBackward(d_out, x, bias, activation, gated, mask, plan, d_x, d_bias, out);
  }
  void AddColumnSums(const at::Tensor& rows, std::span<at::Tensor> sums) const override {
    RECORD_FUNCTION("muster::AddColumnSums", kNoInputs);
    cpu::AddColumnSums(rows, sums);
  }
  void Pool(const at::Tensor& hidden, PoolingMode mode, const SequencePlan& plan, at::Tensor& places,
            at::Tensor& out) const override {
    RECORD_FUNCTION("muster::Pool", kNoInputs);
    cpu::Pool(hidden, mode, plan, places, out);
  }
  void PoolBackward(const at::Tensor& d_out, PoolingMode mode, const SequencePlan& plan, const at::Tensor& places,
                    at::Tensor& d_hidden) const override {
    RECORD_FUNCTION("muster::PoolBackward", kNoInputs);
    cpu::PoolBackward(d_out, mode, plan, places, d_hidden);
  }
};

// The operations of each type of device.
std::array<std::atomic<const EncoderOps*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES>& RegisteredEncoderOps() {
  static const CpuEncoderOps cpu;
  static std::array<std::atomic<const EncoderOps*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES> registered = {&cpu};
  static_assert(static_cast<int>(c10::DeviceType::CPU) == 0);
  return registered;
}

}  // namespace

Activation ActivationFrom(std::string_view name) {
  if (name == "gelu" || name == "gelu_python") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  TORCH_CHECK(name == "tanh", "activation ", name, " is not in families/read.h");
  return Activation::kTanh;
}

const EncoderOps& EncoderOpsOf(c10::DeviceType device) {
  const EncoderOps* ops = RegisteredEncoderOps()[static_cast<size_t>(device)].load();
  TORCH_CHECK(ops != nullptr, "no operations of the encoder are registered for ", device);
  return *ops;
}

void RegisterEncoderOps(c10::DeviceType device, const EncoderOps& ops) {
  RegisteredEncoderOps()[static_cast<size_t>(device)].store(&ops);
}

}  // namespace muster
