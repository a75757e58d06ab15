// The gradients of all parameters in one contiguous buffer: autograd adds into it, the ranks reduce it, and the update
// reads it, without a copy.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "worker/rank/model/encoder.h"

namespace muster {

// Not thread-safe.
class FlatGradients {
 public:
  static constexpr int64_t kBucketBytes = int64_t{32} << 20;
  explicit FlatGradients(std::span<const Parameter> parameters, int64_t bucket_bytes = kBucketBytes);

  // In the parameters' order, each at a multiple of 64 bytes.
  const std::vector<at::Tensor>& views() const { return views_; }
  // The same memory as messages of bucket_bytes. The bytes between two views are 0.
  std::span<at::Tensor> buckets() { return buckets_; }
  // First and last bucket that hold a part of a parameter's gradient.
  std::pair<size_t, size_t> BucketsOf(size_t parameter) const { return buckets_of_[parameter]; }

  double Norm() const;  // of all gradients, summed in float64

  // Sets all to 0 and makes them the parameters' .grad(), so that backward adds to them while this object lives.
  class Collecting {
   public:
    Collecting(FlatGradients& gradients, std::span<Parameter> parameters);
    ~Collecting();
    Collecting(const Collecting&) = delete;
    Collecting& operator=(const Collecting&) = delete;

   private:
    std::span<Parameter> parameters_;
  };

 private:
  at::Tensor flat_;
  std::vector<at::Tensor> views_, buckets_;
  std::vector<std::pair<size_t, size_t>> buckets_of_;
};

}  // namespace muster
