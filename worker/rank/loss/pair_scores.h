// Similarities of named pairs, in float64: there are few, and the loss cancels against them.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/rank/loss/row_edges.h"

namespace muster {

// Dot products of the pairs of rows [first, first + height), beside edges.columns[edges.begin(first)] and on.
// queries: [rows, d], passages: [columns, d], of one device and type.
std::vector<double> PairScores(const at::Tensor& queries, const at::Tensor& passages, const RowEdges& edges,
                               int64_t first, int64_t height);

std::vector<double> ToHost(const at::Tensor& tensor);  // its numbers, as float64

}  // namespace muster
