// The objectives, row by row: everything that needs only the row's positive scores and A, its logsumexp over negatives.
//
// For a query: s_p its m positive scores (after temperature), A = logsumexp over negatives, L+ = logsumexp of s_p,
// L- = logsumexp of -s_p, Z = logaddexp(A, L+), w_p = g_p / sum of g.
//
//   rand1lh      softplus(A - s_p), the one p that was drawn
//   mean1lh      sum w_p softplus(A - s_p): with equal weights, the expectation of rand1lh over its draw
//   jointlh      Z - sum w_p s_p
//   jointlh_sum  m times jointlh
//   summarglh    softplus(A - L+)      with s_p + log(g_p / mean g) in L+
//   lsepair      softplus(A + L-)      with -s_p + log(g_p / mean g) in L-
//
// Sources: arXiv 2602.12727; "Utility-Focused LLM Annotation for Retrieval and RAG", EMNLP 2025.
#pragma once

#include <limits>
#include <span>

#include "muster/v1/job.pb.h"

namespace muster {

inline constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

struct RowGradient {
  double loss = 0;
  double push = 0;  // d loss / d s_n = push * exp(s_n - A) for each negative n; 0 without negatives
};

// `positives`: at least one score. `weights`: grades beside them, > 0; empty: all equal. `negative_lse` is A, -inf
// where the row has no negative. Writes d loss / d s_p to `d_positives` (as many as positives). In double: finite for
// scores of +-1e4. rand1lh takes the mean over its positives whatever the weights: its loss where one was drawn.
RowGradient EvaluateRow(muster::v1::Objective objective, std::span<const double> positives,
                        std::span<const double> weights, double negative_lse, std::span<double> d_positives);

}  // namespace muster
