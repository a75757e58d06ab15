#include "worker/rank/cuda/cuda_encoder_ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>

#include <optional>

#include "worker/rank/cuda/activation_kernels.h"
#include "worker/rank/cuda/column_sums.h"
#include "worker/rank/cuda/device_scope.h"
#include "worker/rank/cuda/norm_kernels.h"
#include "worker/rank/cuda/rows_of.h"
#include "worker/rank/cuda/sequence_kernels.h"

namespace muster {
namespace {

void CheckRows(const at::Tensor& rows, const char* what) {
  TORCH_CHECK(rows.device().type() == kKernelDevice && rows.dim() == 2 && rows.is_contiguous(), what,
              ": rows must be dense, two-dimensional and on ", kKernelDevice);
}

// Undefined, or dense and on the rows' device, with this type and number of elements.
void CheckBeside(const at::Tensor& tensor, const at::Tensor& rows, at::ScalarType type, int64_t numbers,
                 const char* what) {
  TORCH_CHECK(!tensor.defined() || (tensor.device() == rows.device() && tensor.scalar_type() == type &&
                                    tensor.is_contiguous() && tensor.numel() == numbers),
              what, " must be dense, of ", numbers, " numbers of ", type, " on ", rows.device());
}
void CheckLike(const at::Tensor& tensor, const at::Tensor& rows, const char* what) {
  CheckBeside(tensor, rows, rows.scalar_type(), rows.numel(), what);
}

// Memory for the sums of blocks of rows.
at::Tensor Partial(const at::Tensor& rows, int64_t columns) {
  return at::empty({cuda::PartialRows(rows.size(0)), columns}, rows.options().dtype(ParameterType(rows)));
}

// The values that all jobs with a norm share. `rows`: E [T, H].
void FillNorm(const at::Tensor& rows, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
              cuda::NormJob& job) {
  CheckRows(rows, "a norm");
  const int64_t width = rows.size(1);
  CheckBeside(norm.weight, rows, ParameterType(rows), width, "the norm's weight");
  CheckBeside(norm.bias, rows, ParameterType(rows), width, "the norm's bias");
  const int64_t most = cuda::kMostNormWidth / (rows.scalar_type() == at::kDouble ? 2 : 1);
  TORCH_CHECK(width <= most, "rows of ", width, " numbers: kernels take at most ", most, " of ", rows.scalar_type());
  job.element = ElementOf(rows, "encoder operations");
  job.rows = rows.size(0);
  job.width = width;
  job.kind = !norm.weight.defined() ? cuda::NormKind::kNone
             : norm.rms             ? cuda::NormKind::kRmsNorm
                                    : cuda::NormKind::kLayerNorm;
  job.weight = DataOf(norm.weight);
  job.bias = DataOf(norm.bias);
  job.epsilon = norm.epsilon;
  job.mask = MaskOf(mask.rate, mask.place, plan, rows);
}

void FillTables(const EmbeddingTables& tables, const at::Tensor& rows, cuda::EmbeddingJob& job) {
  const at::ScalarType type = ParameterType(rows);
  CheckBeside(tables.words, rows, type, tables.words.size(0) * rows.size(1), "the words' embeddings");
  CheckBeside(tables.tokens, rows, at::kLong, rows.size(0), "tokens");
  CheckBeside(tables.type_row, rows, type, rows.size(1), "the type's embedding");
  job.words = DataOf(tables.words);
  job.tokens = tables.tokens.const_data_ptr<int64_t>();
  job.type = DataOf(tables.type_row);
  if (!tables.position_table.defined()) return;
  CheckBeside(tables.position_table, rows, type, tables.position_table.size(0) * rows.size(1), "the positions' embeddings");
  CheckBeside(tables.positions, rows, at::kLong, rows.size(0), "positions");
  job.places = DataOf(tables.position_table);
  job.positions = tables.positions.const_data_ptr<int64_t>();
}

// `partial` keeps the memory alive until the launch.
cuda::NormSums SumsOf(const NormGradients& gradients, const at::Tensor& rows, at::Tensor& partial) {
  if (!gradients.weight.defined() && !gradients.bias.defined() && !gradients.product_bias.defined()) return {};
  for (const at::Tensor& sum : {gradients.weight, gradients.bias, gradients.product_bias}) {
    CheckBeside(sum, rows, ParameterType(rows), rows.size(1), "a gradient of a norm");
  }
  partial = Partial(rows, 3 * rows.size(1));
  return {MutableDataOf(partial), MutableDataOf(gradients.weight), MutableDataOf(gradients.bias),
          MutableDataOf(gradients.product_bias)};
}

cuda::ActivationKind KindOf(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return cuda::ActivationKind::kGelu;
    case Activation::kGeluTanh:
      return cuda::ActivationKind::kGeluTanh;
    case Activation::kRelu:
      return cuda::ActivationKind::kRelu;
    case Activation::kSilu:
      return cuda::ActivationKind::kSilu;
    case Activation::kTanh:
      return cuda::ActivationKind::kTanh;
  }
  TORCH_CHECK(false, "activation ", static_cast<int>(activation), " is not one of Activation");
}

cuda::PoolKind KindOf(PoolingMode mode) {
  switch (mode) {
    case PoolingMode::kCls:
      return cuda::PoolKind::kCls;
    case PoolingMode::kLast:
      return cuda::PoolKind::kLast;
    case PoolingMode::kMean:
      return cuda::PoolKind::kMean;
    case PoolingMode::kMax:
      return cuda::PoolKind::kMax;
    case PoolingMode::kWeightedMean:
      return cuda::PoolKind::kWeightedMean;
    case PoolingMode::kMeanSqrtLength:
      return cuda::PoolKind::kMeanSqrtLength;
  }
  TORCH_CHECK(false, "pooling mode ", static_cast<int>(mode), " is not one of PoolingMode");
}

cuda::PoolJob PoolJobOf(const at::Tensor& hidden, const at::Tensor& vectors, PoolingMode mode, const SequencePlan& plan,
                        const at::Tensor& places) {
  CheckRows(hidden, "pooling");
  const int64_t sequences = static_cast<int64_t>(plan.lengths.size()), width = hidden.size(1);
  CheckBeside(vectors, hidden, ParameterType(hidden), sequences * width, "the sequences' vectors");
  TORCH_CHECK(plan.device_first_rows.defined() && plan.device_first_rows.device() == hidden.device() &&
                  hidden.size(0) == plan.rows,
              "pooling: the plan has other rows, or is on another device");
  if (mode == PoolingMode::kMax) {
    TORCH_CHECK(places.defined(), "pooling by the largest needs places");
    CheckBeside(places, hidden, at::kInt, sequences * width, "places");
  }
  cuda::PoolJob job{.element = ElementOf(hidden, "pooling"), .kind = KindOf(mode), .sequences = sequences,
                    .rows = hidden.size(0), .width = width,
                    .first_rows = plan.device_first_rows.const_data_ptr<int64_t>()};
  if (!plan.unpooled.empty()) job.unpooled = plan.device_unpooled.const_data_ptr<int64_t>();
  if (mode == PoolingMode::kMax) job.places = places.mutable_data_ptr<int32_t>();
  return job;
}

class Ops final : public EncoderOps {
 public:
  void EmbedNorm(const EmbeddingTables& tables, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
                 at::Tensor& statistics, at::Tensor& out) const override {
    cuda::EmbedNormJob job;
    FillNorm(out, norm, mask, plan, job);
    FillTables(tables, out, job);
    CheckBeside(statistics, out, ParameterType(out), 2 * out.size(0), "statistics");
    job.statistics = MutableDataOf(statistics);
    job.out = MutableDataOf(out);
    const DeviceScope scope(out.device());
    CheckCuda(cuda::EmbedNorm(job, scope.stream()), "embeddings");
  }

  void EmbedNormBackward(const at::Tensor& d_out, const EmbeddingTables& tables, const Norm& norm, const RowMask& mask,
                         const SequencePlan& plan, const at::Tensor& statistics, at::Tensor& d_sum,
                         const NormGradients& gradients) const override {
    cuda::EmbedNormBackwardJob job;
    FillNorm(d_out, norm, mask, plan, job);
    FillTables(tables, d_out, job);
    CheckBeside(d_sum, d_out, ParameterType(d_out), d_out.numel(), "d_sum");
    job.d_out = DataOf(d_out);
    job.statistics = DataOf(statistics);
    job.d_sum = MutableDataOf(d_sum);
    const DeviceScope scope(d_out.device());
    at::Tensor partial;
    job.sums = SumsOf(gradients, d_out, partial);
    CheckCuda(cuda::EmbedNormBackward(job, scope.stream()), "the gradient of embeddings");
  }

  void AddToRows(const at::Tensor& rows, const at::Tensor& indices, at::Tensor& table) const override {
    CheckRows(rows, "rows by index");
    CheckRows(table, "a table");
    CheckBeside(indices, rows, at::kLong, rows.size(0), "indices");
    TORCH_CHECK(rows.scalar_type() == table.scalar_type() && rows.size(1) == table.size(1),
                "rows by index: the table has another width or type");
    const DeviceScope scope(rows.device());
    const auto [sorted, order] = at::sort(indices, /*stable=*/std::optional(true), /*dim=*/0, /*descending=*/false);
    CheckCuda(cuda::AddToRows(ElementOf(rows, "rows by index"), DataOf(rows), sorted.const_data_ptr<int64_t>(),
                              order.const_data_ptr<int64_t>(), rows.size(0), rows.size(1), MutableDataOf(table),
                              scope.stream()),
              "rows by index");
  }

  void AddNorm(const at::Tensor& product, const at::Tensor& bias, const at::Tensor& residual, const Norm& norm,
               const RowMask& mask, const SequencePlan& plan, at::Tensor& sum, at::Tensor& statistics,
               at::Tensor& out) const override {
    TORCH_CHECK(norm.weight.defined(), "a sum and its norm: without a norm");
    cuda::AddNormJob job;
    FillNorm(product, norm, mask, plan, job);
    CheckBeside(bias, product, ParameterType(product), job.width, "a product's bias");
    CheckLike(residual, product, "a residual");
    CheckLike(sum, product, "a sum");
    CheckLike(out, product, "a norm's output");
    CheckBeside(statistics, product, ParameterType(product), 2 * job.rows, "statistics");
    // If nothing is added, the product already is the sum.
    const bool changes = bias.defined() || residual.defined() || mask.active() || !sum.is_same(product);
    job.product = DataOf(product);
    job.product_bias = DataOf(bias);
    job.residual = DataOf(residual);
    job.sum = changes ? MutableDataOf(sum) : nullptr;
    job.statistics = MutableDataOf(statistics);
    job.out = MutableDataOf(out);
    const DeviceScope scope(product.device());
    CheckCuda(cuda::AddNorm(job, scope.stream()), "a sum and its norm");
  }

  void AddNormBackward(const at::Tensor& d_out, const at::Tensor& d_sum_before, const at::Tensor& sum,
                       const at::Tensor& statistics, const Norm& norm, const RowMask& mask, const SequencePlan& plan,
                       at::Tensor& d_sum, at::Tensor& d_product, const NormGradients& gradients,
                       at::Tensor& out) const override {
    TORCH_CHECK(norm.weight.defined(), "the gradient of a sum and its norm: without a norm");
    cuda::AddNormBackwardJob job;
    FillNorm(d_out, norm, mask, plan, job);
    for (const at::Tensor& rows : {d_sum_before, sum, d_sum, d_product, out}) CheckLike(rows, d_out, "rows of a gradient");
    CheckBeside(statistics, d_out, ParameterType(d_out), 2 * job.rows, "statistics");
    job.d_out = DataOf(d_out);
    job.d_sum_before = DataOf(d_sum_before);
    job.sum = DataOf(sum);
    job.statistics = DataOf(statistics);
    job.d_sum = MutableDataOf(d_sum);
    job.d_product = MutableDataOf(d_product);
    job.out = MutableDataOf(out);
    const DeviceScope scope(d_out.device());
    at::Tensor partial;
    job.sums = SumsOf(gradients, d_out, partial);
    CheckCuda(cuda::AddNormBackward(job, scope.stream()), "the gradient of a sum and its norm");
  }

  void Activate(const at::Tensor& x, const at::Tensor& bias, Activation activation, bool gated, const RowMask& mask,
                const SequencePlan& plan, at::Tensor& out) const override {
    const cuda::ActivationJob job = ActivationOf(x, bias, activation, gated, mask, plan, out);
    const DeviceScope scope(x.device());
    CheckCuda(cuda::Activate(job, scope.stream()), "an activation");
  }

  void ActivateBackward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& bias, Activation activation,
                        bool gated, const RowMask& mask, const SequencePlan& plan, at::Tensor& d_x,
                        const at::Tensor& d_bias, at::Tensor& out) const override {
    cuda::ActivationBackwardJob job{ActivationOf(x, bias, activation, gated, mask, plan, out)};
    CheckRows(d_out, "an activation");
    CheckBeside(d_out, x, x.scalar_type(), job.rows * job.width, "an activation's gradient");
    CheckLike(d_x, x, "d_x");
    CheckBeside(d_bias, x, ParameterType(x), x.size(1), "d_bias");
    job.d_out = DataOf(d_out);
    job.d_x = MutableDataOf(d_x);
    job.d_bias = MutableDataOf(d_bias);
    const DeviceScope scope(x.device());
    const at::Tensor partial = d_bias.defined() ? Partial(x, x.size(1)) : at::Tensor();
    job.partial = MutableDataOf(partial);
    CheckCuda(cuda::ActivateBackward(job, scope.stream()), "an activation's gradient");
  }

  void AddColumnSums(const at::Tensor& rows, std::span<at::Tensor> sums) const override {
    CheckRows(rows, "column sums");
    TORCH_CHECK(sums.size() <= cuda::SumTargets::kMost, "column sums of ", sums.size(), " parts: at most three");
    cuda::SumTargets targets;
    int64_t columns = 0;
    for (size_t k = 0; k < sums.size(); ++k) {
      CheckBeside(sums[k], rows, ParameterType(rows), sums[k].numel(), "a sum of columns");
      targets.to[k] = MutableDataOf(sums[k]);
      targets.columns[k] = sums[k].numel();
      columns += sums[k].numel();
    }
    TORCH_CHECK(columns == rows.size(1), "column sums: ", columns, " of ", rows.size(1), " columns have a place");
    const DeviceScope scope(rows.device());
    const at::Tensor partial = Partial(rows, columns);
    CheckCuda(cuda::AddColumnSums(ElementOf(rows, "column sums"), DataOf(rows), rows.size(0), MutableDataOf(partial),
                                  targets, scope.stream()),
              "column sums");
  }

  void Pool(const at::Tensor& hidden, PoolingMode mode, const SequencePlan& plan, at::Tensor& places,
            at::Tensor& out) const override {
    const cuda::PoolJob job = PoolJobOf(hidden, out, mode, plan, places);
    const DeviceScope scope(hidden.device());
    CheckCuda(cuda::Pool(job, DataOf(hidden), MutableDataOf(out), scope.stream()), "pooling");
  }

  void PoolBackward(const at::Tensor& d_out, PoolingMode mode, const SequencePlan& plan, const at::Tensor& places,
                    at::Tensor& d_hidden) const override {
    const cuda::PoolJob job = PoolJobOf(d_hidden, d_out, mode, plan, places);
    const DeviceScope scope(d_hidden.device());
    CheckCuda(cuda::PoolBackward(job, DataOf(d_out), MutableDataOf(d_hidden), scope.stream()), "pooling's gradient");
  }

 private:
  static cuda::ActivationJob ActivationOf(const at::Tensor& x, const at::Tensor& bias, Activation activation,
                                          bool gated, const RowMask& mask, const SequencePlan& plan,
                                          const at::Tensor& out) {
    CheckRows(x, "an activation");
    const int64_t rows = x.size(0), width = x.size(1) / (gated ? 2 : 1);
    CheckBeside(bias, x, ParameterType(x), x.size(1), "an activation's bias");
    CheckBeside(out, x, x.scalar_type(), rows * width, "an activation's output");
    return {.element = ElementOf(x, "an activation"), .kind = KindOf(activation), .gated = gated, .rows = rows,
            .width = width, .x = DataOf(x), .bias = DataOf(bias), .mask = MaskOf(mask.rate, mask.place, plan, x),
            .out = MutableDataOf(out)};
  }
};

}  // namespace

const EncoderOps& CudaEncoderOps() {
  static const Ops ops;
  return ops;
}

}  // namespace muster
