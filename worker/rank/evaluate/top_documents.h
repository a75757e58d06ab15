// Exact top-k by tiles. Documents with equal scores are ordered by number.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace muster {

struct TopDocuments {
  at::Tensor scores;   // [queries, k], descending; the rest is -inf if there are fewer than k documents
  at::Tensor numbers;  // int64 [queries, k]; -1 where the score is -inf
};

// queries [q, d], documents [n, d] with `numbers` int64 [n] ascending. Memory: q * (k + tile) scores.
TopDocuments FindTopDocuments(const at::Tensor& queries, const at::Tensor& documents, const at::Tensor& numbers,
                              int64_t k, int64_t tile = 8192);

// The best k of two lists for the same queries.
TopDocuments MergeTopDocuments(const TopDocuments& a, const TopDocuments& b, int64_t k);

}  // namespace muster
