// The CPU's operations with any plan, and counters: tests a GPU's plan without a GPU.
#pragma once

#include <functional>
#include <utility>

#include "worker/rank/loss/tile_ops.h"

namespace muster {

class CountingTileOps final : public TileOps {
 public:
  // `copies` is called with "upload" or "download" when one begins.
  explicit CountingTileOps(const TilePlan& plan, std::function<void(const char*)> copies = [](const char*) {})
      : plan_(plan), copies_(std::move(copies)) {}

  struct Counts {
    int64_t downloads = 0, uploads = 0, operations = 0;
  };
  const Counts& counts() const { return counts_; }

  TilePlan Plan() const override { return plan_; }
  void AccumulateLse(at::Tensor& scores, const at::Tensor& excluded, at::Tensor& top, at::Tensor& sum) const override {
    ++counts_.operations;
    cpu_.AccumulateLse(scores, excluded, top, sum);
  }
  void Weigh(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& lse,
             const at::Tensor& scale) const override {
    ++counts_.operations;
    cpu_.Weigh(scores, excluded, lse, scale);
  }
  void Scatter(at::Tensor& scores, const at::Tensor& positions, const at::Tensor& values) const override {
    ++counts_.operations;
    cpu_.Scatter(scores, positions, values);
  }
  void IgnoreAbove(at::Tensor& scores, const at::Tensor& excluded, const at::Tensor& limits, at::Tensor& counts,
                   at::Tensor& sums) const override {
    ++counts_.operations;
    cpu_.IgnoreAbove(scores, excluded, limits, counts, sums);
  }
  void MeasureRows(const at::Tensor& rows, const at::Tensor& direction, at::Tensor& squares,
                   at::Tensor& along) const override {
    ++counts_.operations;
    cpu_.MeasureRows(rows, direction, squares, along);
  }
  void SumRows(const at::Tensor& rows, at::Tensor& sum, at::Tensor& longest_square) const override {
    ++counts_.operations;
    cpu_.SumRows(rows, sum, longest_square);
  }
  void PairDots(const at::Tensor& queries, const at::Tensor& passages, const at::Tensor& rows,
                const at::Tensor& columns, at::Tensor& dots) const override {
    ++counts_.operations;
    cpu_.PairDots(queries, passages, rows, columns, dots);
  }
  std::vector<double> ToHost(const at::Tensor& numbers) const override {
    ++counts_.downloads;
    copies_("download");
    return cpu_.ToHost(numbers);
  }
  at::Tensor ToDevice(const std::vector<int64_t>& indices, at::Device device) const override {
    ++counts_.uploads;
    copies_("upload");
    return cpu_.ToDevice(indices, device);
  }
  at::Tensor ToDevice(const std::vector<double>& numbers, at::ScalarType type, at::Device device) const override {
    ++counts_.uploads;
    copies_("upload");
    return cpu_.ToDevice(numbers, type, device);
  }

 private:
  const TilePlan plan_;
  const std::function<void(const char*)> copies_;
  const TileOps& cpu_ = CpuTileOps();
  mutable Counts counts_;
};

}  // namespace muster
