// The types that describe every job over rows. No torch header.
#pragma once

#include <cstdint>

namespace muster::cuda {

// The type E of a row's elements. P is the type of parameters, statistics and all arithmetic: double for
// kDouble, otherwise float.
enum class Element { kFloat, kDouble, kBfloat16 };

// Dropout of rows that belong to sequences, as worker/rank/model/dropout.h defines it. Pointers point to the device.
struct RowsMask {
  const int64_t* keys = nullptr;        // the bits of uint64, per sequence
  const int64_t* first_rows = nullptr;  // per sequence, and the number of rows at the end
  int64_t sequences = 0;
  uint64_t layer = 0, site = 0;
  uint32_t threshold = 0;  // of 65536; 0: inactive, and all else is ignored
  double scale = 1;
};

// Calls operation(E{}) with the element's type. The names of types are those of the .cu file.
#define MUSTER_WITH_ELEMENT(element, operation)          \
  switch (element) {                                     \
    case ::muster::cuda::Element::kFloat:                \
      return operation(float{});                         \
    case ::muster::cuda::Element::kDouble:               \
      return operation(double{});                        \
    case ::muster::cuda::Element::kBfloat16:             \
      return operation(__nv_bfloat16{});                 \
  }                                                      \
  return cudaErrorInvalidValue

}  // namespace muster::cuda
