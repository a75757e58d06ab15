// The operations of the streaming loss besides its products. Every device has its own operations: the CPU's are
// tile_ops_cpu.cc's, others are registered before the first use.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>

#include <cstdint>
#include <vector>

namespace muster {

// How the loss cuts its work.
struct TilePlan {
  int64_t rows = 768, columns = 2048;  // of a tile
  int64_t kept_bytes = 48 << 20;       // tiles that stay from forward to backward; at least one does
  // The forward pass visits all blocks of rows before the first backward tile, so that the device waits for the host
  // once per loss instead of once per block. Tiles beyond kept_bytes are computed twice.
  bool all_blocks_at_once = false;
  bool split_bfloat16 = false;  // float32 products by tile_products.h's bfloat16 parts
};

// The plan for a GPU: tiles so large that their products give every multiprocessor a block of 128 x 128 numbers to compute.
TilePlan GpuTilePlan(int64_t multiprocessors, int64_t memory_bytes);

// Results are bitwise the same for the same arguments and number of threads. All tensors are on the device and dense;
// positions, rows and columns are int64.
class TileOps {
 public:
  virtual ~TileOps() = default;
  virtual TilePlan Plan() const { return {}; }

  // scores: [h, w] float32 or float64; `excluded`: flat positions (row * w + column) of pairs that are not negatives,
  // undefined = none. top, sum: [h], same dtype: the running maximum (-inf before any negative) and the sum of
  // exp(s - top) so far; both are updated. Scores of negatives do not change, because Weigh may get the same tile;
  // those of excluded pairs may be overwritten.
  virtual void AccumulateLse(at::Tensor& scores, const at::Tensor& excluded, at::Tensor& top,
                             at::Tensor& sum) const = 0;
  // scores <- scale[r] * exp(scores - lse[r]), 0 at excluded pairs, whatever was there. lse, scale: [h], finite.
  virtual void Weigh(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& lse,
                     const at::Tensor& scale) const = 0;
  // scores[positions[i]] <- values[i] of the flat scores. Positions are distinct, so no order is needed.
  virtual void Scatter(at::Tensor& scores, const at::Tensor& positions, const at::Tensor& values) const = 0;

  // The following have a default implementation in at:: operations, which is correct on every device.

  // Sets scores above limits[r] to -inf, and those of `excluded` pairs, so that the three functions above skip them. limits:
  // [h], with the scores' dtype; +inf keeps all scores of the row. Adds the number of scores above the limit that were not
  // excluded, and their sum, to counts and sums, float64 [h]; if these are undefined, counts nothing.
  virtual void IgnoreAbove(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& limits, at::Tensor& counts,
                           at::Tensor& sums) const;
  // For each of `rows` [n, d]: its squared length, and its product with `direction` [d]. Both float64 [n].
  virtual void MeasureRows(const at::Tensor& rows, const at::Tensor& direction, at::Tensor& squares,
                           at::Tensor& along) const;
  // Sums of all rows, and the squared length of the longest: float64, [d] and [1].
  virtual void SumRows(const at::Tensor& rows, at::Tensor& sum, at::Tensor& longest_square) const;
  // dots[i] <- queries[rows[i]] . passages[columns[i]], in float64.
  virtual void PairDots(const at::Tensor& queries, const at::Tensor& passages, const at::Tensor& rows,
                        const at::Tensor& columns, at::Tensor& dots) const;

  // All numbers that the loss moves between host and device pass through these three. Each makes the host wait.
  virtual std::vector<double> ToHost(const at::Tensor& numbers) const;
  virtual at::Tensor ToDevice(const std::vector<int64_t>& indices, at::Device device) const;
  virtual at::Tensor ToDevice(const std::vector<double>& numbers, at::ScalarType type, at::Device device) const;
};

const TileOps& CpuTileOps();
const TileOps& TileOpsOf(c10::DeviceType device);                   // TORCH_CHECK fails where none is registered
void RegisterTileOps(c10::DeviceType device, const TileOps& ops);  // call it before the first use; `ops` must live forever

}  // namespace muster
