// The distillation loss of one query: compares the student's scores of the passages in its list with the teacher's.
//
// For a query's list: s_i the student's scores (after loss.temperature), t_i the teacher's (after distill.temperature).
//
//   kl           sum p_i (log p_i - log q_i), p = softmax of t, q = softmax of s, over the list
//   margin_mse   mean over all pairs of a positive i and another passage j of ((s_i - s_j) - (t_i - t_j))^2
//
// Sources: arXiv 1503.02531, "Distilling the Knowledge in a Neural Network"; arXiv 2010.02666, "Improving Efficient Neural
// Ranking Models with Cross-Architecture Knowledge Distillation" (margin-MSE).
#pragma once

#include <span>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster {

// Returns the loss and writes d loss / d s_i to `d_student`. All spans have the same length. A list with nothing to compare
// has loss 0: it has fewer than two passages or, for margin_mse, all or none of them are positives. Results are finite for
// scores within +-1e4.
double EvaluateTeacherList(muster::v1::DistillKind kind, std::span<const double> student, std::span<const double> teacher,
                           const std::vector<bool>& is_positive, std::span<double> d_student);

}  // namespace muster
