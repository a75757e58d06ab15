#include "worker/rank/cuda/cuda_tile_ops.h"

#include "worker/rank/cuda/device_scope.h"
#include "worker/rank/cuda/tile_kernels.h"

namespace muster {
namespace {

// A vector with one number per row of the tile.
void CheckBeside(const at::Tensor& scores, const at::Tensor& vector, const char* name) {
  TORCH_CHECK(vector.device() == scores.device() && vector.scalar_type() == scores.scalar_type() &&
                  vector.is_contiguous() && vector.dim() == 1 && vector.size(0) == scores.size(0),
              name, " must be dense, [", scores.size(0), "], of the scores' type and device");
}

void CheckTile(const at::Tensor& scores, const at::Tensor& excluded) {
  TORCH_CHECK(scores.device().type() == kKernelDevice && scores.dim() == 2 && scores.is_contiguous(),
              "a tile of scores must be dense, on CUDA");
  TORCH_CHECK(scores.scalar_type() == at::kFloat || scores.scalar_type() == at::kDouble, "a tile of scores of ",
              scores.scalar_type(), ": float32 and float64 are known");
  TORCH_CHECK(!excluded.defined() || (excluded.device() == scores.device() && excluded.scalar_type() == at::kLong &&
                                      excluded.is_contiguous()),
              "excluded must be dense int64 of the scores' device");
}

template <typename T>
void Accumulate(at::Tensor& scores, const at::Tensor& excluded, at::Tensor& top, at::Tensor& sum, void* stream) {
  CheckCuda(cuda::AccumulateLse<T>(scores.mutable_data_ptr<T>(), scores.size(0), scores.size(1),
                                   excluded.defined() ? excluded.const_data_ptr<int64_t>() : nullptr,
                                   excluded.defined() ? excluded.numel() : 0, top.mutable_data_ptr<T>(),
                                   sum.mutable_data_ptr<T>(), stream),
            "the sums of a tile");
}

template <typename T>
void WeighAll(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& lse, const at::Tensor& scale,
              void* stream) {
  CheckCuda(cuda::Weigh<T>(scores.mutable_data_ptr<T>(), scores.size(0), scores.size(1),
                           excluded.defined() ? excluded.const_data_ptr<int64_t>() : nullptr,
                           excluded.defined() ? excluded.numel() : 0, lse.const_data_ptr<T>(),
                           scale.const_data_ptr<T>(), stream),
            "the weights of a tile");
}

template <typename T>
void IgnoreAll(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& limits, at::Tensor& counts,
               at::Tensor& sums, void* stream) {
  CheckCuda(cuda::IgnoreAbove<T>(scores.mutable_data_ptr<T>(), scores.size(0), scores.size(1),
                                 excluded.defined() ? excluded.const_data_ptr<int64_t>() : nullptr,
                                 excluded.defined() ? excluded.numel() : 0, limits.const_data_ptr<T>(),
                                 counts.defined() ? counts.mutable_data_ptr<double>() : nullptr,
                                 counts.defined() ? sums.mutable_data_ptr<double>() : nullptr, stream),
            "the false negatives of a tile");
}

TilePlan PlanOfCurrentDevice() {
  const DeviceSize size = SizeOfCurrentDevice();
  return GpuTilePlan(size.multiprocessors, size.memory_bytes);
}

template <typename T>
void ScatterAll(at::Tensor& scores, const at::Tensor& positions, const at::Tensor& values, void* stream) {
  CheckCuda(cuda::Scatter<T>(scores.mutable_data_ptr<T>(), positions.const_data_ptr<int64_t>(),
                             values.const_data_ptr<T>(), positions.numel(), stream),
            "the positives of a tile");
}

class Ops final : public TileOps {
 public:
  TilePlan Plan() const override {
    static const TilePlan plan = PlanOfCurrentDevice();  // a rank uses one device
    return plan;
  }

  void AccumulateLse(at::Tensor& scores, const at::Tensor& excluded, at::Tensor& top, at::Tensor& sum) const override {
    CheckTile(scores, excluded);
    CheckBeside(scores, top, "top");
    CheckBeside(scores, sum, "sum");
    const DeviceScope scope(scores.device());
    if (scores.scalar_type() == at::kDouble) {
      Accumulate<double>(scores, excluded, top, sum, scope.stream());
    } else {
      Accumulate<float>(scores, excluded, top, sum, scope.stream());
    }
  }

  void Weigh(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& lse,
             const at::Tensor& scale) const override {
    CheckTile(scores, excluded);
    CheckBeside(scores, lse, "lse");
    CheckBeside(scores, scale, "scale");
    const DeviceScope scope(scores.device());
    if (scores.scalar_type() == at::kDouble) {
      WeighAll<double>(scores, excluded, lse, scale, scope.stream());
    } else {
      WeighAll<float>(scores, excluded, lse, scale, scope.stream());
    }
  }

  void IgnoreAbove(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& limits, at::Tensor& counts,
                   at::Tensor& sums) const override {
    CheckTile(scores, excluded);
    CheckBeside(scores, limits, "limits");
    for (const at::Tensor* numbers : {&counts, &sums}) {
      TORCH_CHECK(numbers->defined() == counts.defined() &&
                      (!numbers->defined() ||
                       (numbers->device() == scores.device() && numbers->scalar_type() == at::kDouble &&
                        numbers->is_contiguous() && numbers->dim() == 1 && numbers->size(0) == scores.size(0))),
                  "counts and sums must both be dense float64 [", scores.size(0), "] of the scores' device, or undefined");
    }
    const DeviceScope scope(scores.device());
    if (scores.scalar_type() == at::kDouble) {
      IgnoreAll<double>(scores, excluded, limits, counts, sums, scope.stream());
    } else {
      IgnoreAll<float>(scores, excluded, limits, counts, sums, scope.stream());
    }
  }

  void Scatter(at::Tensor& scores, const at::Tensor& positions, const at::Tensor& values) const override {
    CheckTile(scores, positions);
    TORCH_CHECK(values.device() == scores.device() && values.scalar_type() == scores.scalar_type() &&
                    values.is_contiguous() && values.numel() == positions.numel(),
                "values must be dense, of the scores' type and device, and as many as positions");
    const DeviceScope scope(scores.device());
    if (scores.scalar_type() == at::kDouble) {
      ScatterAll<double>(scores, positions, values, scope.stream());
    } else {
      ScatterAll<float>(scores, positions, values, scope.stream());
    }
  }
};

}  // namespace

const TileOps& CudaTileOps() {
  static const Ops ops;
  return ops;
}

}  // namespace muster
