#include "worker/rank/loss/teacher_list.h"

#include <algorithm>
#include <cmath>

namespace muster {
namespace {

using muster::v1::DistillKind;

std::vector<double> LogSoftmax(std::span<const double> scores) {
  const double top = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - top);
  std::vector<double> logs;
  logs.reserve(scores.size());
  for (const double score : scores) logs.push_back(score - top - std::log(sum));
  return logs;
}

double Divergence(std::span<const double> student, std::span<const double> teacher, std::span<double> d_student) {
  const std::vector<double> log_q = LogSoftmax(student), log_p = LogSoftmax(teacher);
  double loss = 0;
  for (size_t i = 0; i < student.size(); ++i) {
    const double p = std::exp(log_p[i]);
    if (p > 0) loss += p * (log_p[i] - log_q[i]);
    d_student[i] = std::exp(log_q[i]) - p;
  }
  return std::max(loss, 0.0);  // rounding can make the sum negative if the distributions are equal
}

double MarginError(std::span<const double> student, std::span<const double> teacher, const std::vector<bool>& is_positive,
                   std::span<double> d_student) {
  const auto positives = std::count(is_positive.begin(), is_positive.end(), true);
  const auto pairs = static_cast<double>(positives * (static_cast<std::ptrdiff_t>(student.size()) - positives));
  if (pairs == 0) return 0;
  double loss = 0;
  for (size_t i = 0; i < student.size(); ++i) {
    if (!is_positive[i]) continue;
    for (size_t j = 0; j < student.size(); ++j) {
      if (is_positive[j]) continue;
      const double error = (student[i] - student[j]) - (teacher[i] - teacher[j]);
      loss += error * error / pairs;
      d_student[i] += 2 * error / pairs;
      d_student[j] -= 2 * error / pairs;
    }
  }
  return loss;
}

}  // namespace

double EvaluateTeacherList(DistillKind kind, std::span<const double> student, std::span<const double> teacher,
                           const std::vector<bool>& is_positive, std::span<double> d_student) {
  std::fill(d_student.begin(), d_student.end(), 0.0);
  if (student.size() < 2) return 0;
  switch (kind) {
    case DistillKind::DISTILL_KIND_UNSPECIFIED:
    case DistillKind::DISTILL_KIND_KL:
      return Divergence(student, teacher, d_student);
    case DistillKind::DISTILL_KIND_MARGIN_MSE:
      return MarginError(student, teacher, is_positive, d_student);
    case DistillKind::DistillKind_INT_MIN_SENTINEL_DO_NOT_USE_:
    case DistillKind::DistillKind_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return 0;
}

}  // namespace muster
