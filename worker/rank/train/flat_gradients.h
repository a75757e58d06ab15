// The gradients of all parameters in one piece of memory: autograd adds into it, the ranks reduce it, and the update
// reads it, without a copy.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "worker/rank/model/encoder.h"

namespace muster {

// Not thread-safe.
class FlatGradients {
 public:
  explicit FlatGradients(std::span<const Parameter> parameters);

  // In the parameters' order, each at a multiple of 64 bytes.
  const std::vector<at::Tensor>& views() const { return views_; }
  // The same memory as messages of about 32 MiB. What lies between two views is 0.
  std::span<at::Tensor> buckets() { return buckets_; }

  double Norm() const;  // of all, summed in float64
  void Scale(double factor);

  // Sets all to 0 and makes them the parameters' .grad(), so that backward adds to them, until its end.
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
};

}  // namespace muster
