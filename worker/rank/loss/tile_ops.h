// What the streaming loss does to one tile of scores, apart from its products. Every device has its own operations:
// the CPU's are tile_ops_cpu.cc's, others are registered before the first use.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>

namespace muster {

// Results are bitwise the same for the same arguments and number of threads.
class TileOps {
 public:
  virtual ~TileOps() = default;
  // scores: [h, w] float32 or float64, dense, of the device; `excluded`: flat positions (row * w + column) of pairs
  // that are no negatives, int64, of the device, undefined = none. top, sum: [h], same dtype: the running maximum
  // (-inf before any negative) and the sum of exp(s - top) so far; both are updated. Scores of negatives stay as they
  // are, for Weigh may be given the same tile; those of excluded pairs may be overwritten.
  virtual void AccumulateLse(at::Tensor& scores, const at::Tensor& excluded, at::Tensor& top,
                             at::Tensor& sum) const = 0;
  // scores <- scale[r] * exp(scores - lse[r]), 0 at excluded pairs, whatever stands there. lse, scale: [h], finite.
  virtual void Weigh(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& lse,
                     const at::Tensor& scale) const = 0;
};

const TileOps& CpuTileOps();
const TileOps& TileOpsOf(c10::DeviceType device);                   // TORCH_CHECK fails where none is registered
void RegisterTileOps(c10::DeviceType device, const TileOps& ops);  // before the first use; `ops` lives on

}  // namespace muster
