// Distillation, query by query: the loss of the passages that a teacher scored, given the student's scores of them.
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

// The loss; writes d loss / d s_i to `d_student`. All have the same length. A list with nothing to compare has loss 0: one
// passage or none, and for margin_mse one without a positive, or without another passage. In double: finite for finite
// scores of +-1e4.
double EvaluateTeacherList(muster::v1::DistillKind kind, std::span<const double> student, std::span<const double> teacher,
                           const std::vector<bool>& is_positive, std::span<double> d_student);

}  // namespace muster
