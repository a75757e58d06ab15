#include "worker/rank/cuda/cuda_tile_ops.h"

#include "worker/rank/cuda/device_scope.h"
#include "worker/rank/cuda/pair_kernels.h"
#include "worker/rank/cuda/rows_of.h"
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

// Whether the kernels can read these embeddings: rows that were cut from wider ones are not dense.
bool AreDenseRows(const at::Tensor& rows) {
  TORCH_CHECK(rows.device().type() == kKernelDevice && rows.dim() == 2, "embeddings must be two-dimensional, on ",
              kKernelDevice);
  return rows.is_contiguous();
}

// A dense vector of `count` numbers, on the device of the embeddings.
void CheckNumbers(const at::Tensor& rows, const at::Tensor& numbers, at::ScalarType type, int64_t count,
                  const char* name) {
  TORCH_CHECK(numbers.device() == rows.device() && numbers.scalar_type() == type && numbers.is_contiguous() &&
                  numbers.dim() == 1 && numbers.size(0) == count,
              name, " must be dense ", type, " [", count, "] of the embeddings' device");
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

  void MeasureRows(const at::Tensor& rows, const at::Tensor& direction, at::Tensor& squares,
                   at::Tensor& along) const override {
    if (!AreDenseRows(rows)) return TileOps::MeasureRows(rows, direction, squares, along);
    CheckNumbers(rows, direction, at::kDouble, rows.size(1), "direction");
    CheckNumbers(rows, squares, at::kDouble, rows.size(0), "squares");
    CheckNumbers(rows, along, at::kDouble, rows.size(0), "along");
    const DeviceScope scope(rows.device());
    CheckCuda(cuda::MeasureRows(ElementOf(rows, "embeddings"), DataOf(rows), rows.size(0), rows.size(1),
                                direction.const_data_ptr<double>(), squares.mutable_data_ptr<double>(),
                                along.mutable_data_ptr<double>(), scope.stream()),
              "the lengths of rows");
  }

  void PairDots(const at::Tensor& queries, const at::Tensor& passages, const at::Tensor& rows,
                const at::Tensor& columns, at::Tensor& dots) const override {
    if (!AreDenseRows(queries) || !AreDenseRows(passages)) {
      return TileOps::PairDots(queries, passages, rows, columns, dots);
    }
    TORCH_CHECK(passages.device() == queries.device() && passages.scalar_type() == queries.scalar_type() &&
                    passages.size(1) == queries.size(1),
                "passages must have the queries' width, type and device");
    CheckNumbers(queries, rows, at::kLong, dots.numel(), "rows");
    CheckNumbers(queries, columns, at::kLong, dots.numel(), "columns");
    CheckNumbers(queries, dots, at::kDouble, dots.numel(), "dots");
    const DeviceScope scope(queries.device());
    CheckCuda(cuda::PairDots(ElementOf(queries, "embeddings"), DataOf(queries), DataOf(passages),
                             rows.const_data_ptr<int64_t>(), columns.const_data_ptr<int64_t>(), dots.numel(),
                             queries.size(1), dots.mutable_data_ptr<double>(), scope.stream()),
              "the dot products of pairs");
  }
};

}  // namespace

const TileOps& CudaTileOps() {
  static const Ops ops;
  return ops;
}

}  // namespace muster
