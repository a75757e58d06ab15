// The parts of TileOps that use ATen on any device. They are in a separate file, because a device's plug-in derives from
// TileOps and is linked with its own copy of them.
#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "worker/rank/loss/tile_ops.h"

namespace muster {
namespace {

// How many numbers are copied to float64 at a time: few on the CPU, to stay in its cache; many elsewhere, to save launches.
int64_t NumbersAtOnce(const at::Tensor& tensor) { return int64_t{1} << (tensor.is_cpu() ? 18 : 23); }

// Calls visit(begin, count) with consecutive parts of `size` rows of `width` numbers.
template <typename Visit>
void InParts(const at::Tensor& tensor, int64_t size, int64_t width, const Visit& visit) {
  const int64_t at_once = std::max<int64_t>(1, NumbersAtOnce(tensor) / std::max<int64_t>(1, width));
  for (int64_t begin = 0; begin < size; begin += at_once) visit(begin, std::min(at_once, size - begin));
}

at::Tensor Copied(const void* data, size_t size, at::ScalarType from, at::ScalarType to, at::Device device) {
  const at::Tensor view =
      at::from_blob(const_cast<void*>(data), {static_cast<int64_t>(size)}, at::TensorOptions().dtype(from));
  return view.to(device, to, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

TilePlan GpuTilePlan(int64_t multiprocessors, int64_t memory_bytes) {
  constexpr int64_t kBlock = 128, kWidth = 768;  // the size of cuBLAS's thread blocks, and of a common embedding
  TilePlan plan{.rows = 1024, .all_blocks_at_once = true, .split_bfloat16 = true};
  // A query gradient has the fewest blocks of the three products.
  while ((plan.rows / kBlock) * (kWidth / kBlock) < multiprocessors) plan.rows *= 2;
  plan.columns = 2 * plan.rows;
  plan.kept_bytes = std::max(memory_bytes / 64, plan.rows * plan.columns * 4);
  return plan;
}

void TileOps::IgnoreAbove(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& limits, at::Tensor& counts,
                          at::Tensor& sums) const {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  if (excluded.defined()) scores.view(-1).index_fill_(0, excluded, kNone);
  const at::Tensor above = scores > limits.unsqueeze(1);
  if (counts.defined()) {
    counts.add_(above.sum(1));
    sums.add_(at::where(above, scores, at::zeros({}, scores.options())).sum(1, /*keepdim=*/false, at::kDouble));
  }
  scores.masked_fill_(above, kNone);
}

void TileOps::MeasureRows(const at::Tensor& rows, const at::Tensor& direction, at::Tensor& squares,
                          at::Tensor& along) const {
  InParts(rows, rows.size(0), rows.size(1), [&](int64_t begin, int64_t count) {
    const at::Tensor part = rows.narrow(0, begin, count).to(at::kDouble);
    squares.narrow(0, begin, count).copy_((part * part).sum(1));
    along.narrow(0, begin, count).copy_(at::matmul(part, direction));
  });
}

void TileOps::SumRows(const at::Tensor& rows, at::Tensor& sum, at::Tensor& longest_square) const {
  sum.zero_();
  longest_square.zero_();
  InParts(rows, rows.size(0), rows.size(1), [&](int64_t begin, int64_t count) {
    const at::Tensor part = rows.narrow(0, begin, count).to(at::kDouble);
    sum.add_(part.sum(0));
    longest_square.copy_(at::maximum(longest_square, (part * part).sum(1).max()));
  });
}

void TileOps::PairDots(const at::Tensor& queries, const at::Tensor& passages, const at::Tensor& rows,
                       const at::Tensor& columns, at::Tensor& dots) const {
  InParts(queries, rows.numel(), queries.size(1), [&](int64_t begin, int64_t count) {
    const at::Tensor q = queries.index_select(0, rows.narrow(0, begin, count)).to(at::kDouble);
    const at::Tensor p = passages.index_select(0, columns.narrow(0, begin, count)).to(at::kDouble);
    dots.narrow(0, begin, count).copy_((q * p).sum(1));
  });
}

std::vector<double> TileOps::ToHost(const at::Tensor& numbers) const {
  const at::Tensor host = numbers.to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

at::Tensor TileOps::ToDevice(const std::vector<int64_t>& indices, at::Device device) const {
  return Copied(indices.data(), indices.size(), at::kLong, at::kLong, device);
}

at::Tensor TileOps::ToDevice(const std::vector<double>& numbers, at::ScalarType type, at::Device device) const {
  return Copied(numbers.data(), numbers.size(), at::kDouble, type, device);
}

}  // namespace muster
