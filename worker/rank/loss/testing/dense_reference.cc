#include "worker/rank/loss/testing/dense_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/random.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the enumeration's values

constexpr double kNone = -std::numeric_limits<double>::infinity();

double LogSumExp(const std::vector<double>& values) {
  const double top = values.empty() ? kNone : *std::ranges::max_element(values);
  if (top == kNone) return kNone;
  double sum = 0;
  for (const double value : values) sum += std::exp(value - top);
  return top + std::log(sum);
}
double Sigma(double x) { return 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

struct ScoredRow {
  std::vector<double> scores, d;  // of all columns
  std::vector<int64_t> positives, negatives;
  std::vector<double> grades;
};

// The loss of one row and d loss / d score, column by column, by the table of docs/reference/losses.md.
double Evaluate(Objective objective, ScoredRow& row) {
  const double m = static_cast<double>(row.positives.size());
  std::vector<double> sp, sn, share, bonus;
  double total = 0;
  for (const double grade : row.grades) total += grade;
  for (size_t i = 0; i < row.positives.size(); ++i) {
    sp.push_back(row.scores[row.positives[i]]);
    share.push_back(row.grades.empty() ? 1 / m : row.grades[i] / total);
    bonus.push_back(std::log(share.back() * m));
  }
  for (const int64_t n : row.negatives) sn.push_back(row.scores[n]);
  const double a = LogSumExp(sn);
  const auto push = [&](double c) {
    for (const int64_t n : row.negatives) row.d[n] = c * std::exp(row.scores[n] - a);
  };
  double loss = 0;
  if (objective == OBJECTIVE_RAND1LH || objective == OBJECTIVE_MEAN1LH) {
    double c = 0;
    for (size_t i = 0; i < sp.size(); ++i) {
      const double part = objective == OBJECTIVE_RAND1LH ? 1 / m : share[i];
      loss += part * Softplus(a - sp[i]);
      c += part * Sigma(a - sp[i]);
      row.d[row.positives[i]] = -part * Sigma(a - sp[i]);
    }
    push(c);
  } else if (objective == OBJECTIVE_JOINTLH || objective == OBJECTIVE_JOINTLH_SUM) {
    const double factor = objective == OBJECTIVE_JOINTLH ? 1 : m;
    std::vector<double> all = sp;
    all.insert(all.end(), sn.begin(), sn.end());
    const double z = LogSumExp(all);
    loss = factor * z;
    for (size_t i = 0; i < sp.size(); ++i) {
      loss -= factor * share[i] * sp[i];
      row.d[row.positives[i]] = factor * (std::exp(sp[i] - z) - share[i]);
    }
    for (const int64_t n : row.negatives) row.d[n] = factor * std::exp(row.scores[n] - z);
  } else {
    const double sign = objective == OBJECTIVE_SUMMARGLH ? 1 : -1;
    std::vector<double> terms;
    for (size_t i = 0; i < sp.size(); ++i) terms.push_back(sign * sp[i] + bonus[i]);
    const double l = LogSumExp(terms), margin = a - sign * l;
    loss = Softplus(margin);
    push(Sigma(margin));
    for (size_t i = 0; i < sp.size(); ++i) row.d[row.positives[i]] = -Sigma(margin) * std::exp(terms[i] - l);
  }
  return loss;
}

// The teacher's loss of one row. Adds its d loss / d score.
double EvaluateTeacher(const DenseTeacher& teacher, size_t r, ScoredRow& row) {
  const std::vector<int64_t>& list = teacher.lists[r];
  std::vector<double> s, t;
  for (size_t i = 0; i < list.size(); ++i) {
    s.push_back(row.scores[list[i]]);
    t.push_back(teacher.scores[r][i] / teacher.temperature);
  }
  double loss = 0;
  if (teacher.kind == DISTILL_KIND_KL) {
    const double zs = LogSumExp(s), zt = LogSumExp(t);
    for (size_t i = 0; i < list.size(); ++i) {
      const double p = std::exp(t[i] - zt);
      loss += teacher.weight * p * ((t[i] - zt) - (s[i] - zs));
      row.d[list[i]] += teacher.weight * (std::exp(s[i] - zs) - p);
    }
    return loss;
  }
  const auto positive = [&](size_t i) { return std::ranges::count(row.positives, list[i]) > 0; };
  double pairs = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    for (size_t j = 0; j < list.size(); ++j) pairs += positive(i) && !positive(j);
  }
  for (size_t i = 0; i < list.size(); ++i) {
    for (size_t j = 0; j < list.size(); ++j) {
      if (!positive(i) || positive(j)) continue;
      const double error = s[i] - s[j] - t[i] + t[j];
      loss += teacher.weight * error * error / pairs;
      row.d[list[i]] += teacher.weight * 2 * error / pairs;
      row.d[list[j]] -= teacher.weight * 2 * error / pairs;
    }
  }
  return loss;
}

}  // namespace

DenseResult EvaluateDense(const DenseBatch& batch) {
  const size_t rows = batch.queries.size(), columns = batch.passages.size(), dim = batch.queries.at(0).size();
  const Matrix of_queries(rows, std::vector<double>(dim)), of_passages(columns, std::vector<double>(dim));
  DenseResult result{.d_queries = of_queries, .d_passages = of_passages, .query_scales = of_queries,
                     .passage_scales = of_passages};
  double total = 0;
  for (size_t r = 0; r < rows; ++r) {
    if (!batch.positives[r].empty()) total += batch.weights.empty() ? 1 : batch.weights[r];
  }
  for (size_t r = 0; r < rows; ++r) {
    if (batch.positives[r].empty()) continue;
    ++result.valid_rows;
    if (total == 0) continue;
    ScoredRow row{.scores = std::vector<double>(columns), .d = std::vector<double>(columns)};
    row.positives = batch.positives[r];
    if (!batch.grades.empty()) row.grades = batch.grades[r];
    for (size_t c = 0; c < columns; ++c) {
      for (size_t i = 0; i < dim; ++i) row.scores[c] += batch.queries[r][i] * batch.passages[c][i] / batch.temperature;
      const auto named = [&](const std::vector<int64_t>& some) { return std::ranges::count(some, int64_t(c)) > 0; };
      if (!named(batch.positives[r]) && !named(batch.ignored[r])) row.negatives.push_back(static_cast<int64_t>(c));
    }
    if (batch.margin.has_value()) {
      double lowest = std::numeric_limits<double>::infinity();
      for (const int64_t p : row.positives) lowest = std::min(lowest, row.scores[p]);
      result.false_negatives += static_cast<int64_t>(std::erase_if(
          row.negatives, [&](int64_t n) { return (row.scores[n] - lowest) * batch.temperature > *batch.margin; }));
    }
    const double scale = (batch.weights.empty() ? 1 : batch.weights[r]) / total;
    double loss = Evaluate(batch.objective, row);
    if (batch.teacher.has_value()) {
      if (batch.teacher->only) loss = 0, row.d.assign(columns, 0);
      loss += EvaluateTeacher(*batch.teacher, r, row);
    }
    result.loss += scale * loss;
    for (size_t c = 0; c < columns; ++c) {
      for (size_t i = 0; i < dim; ++i) {
        result.d_queries[r][i] += scale * row.d[c] * batch.passages[c][i] / batch.temperature;
        result.d_passages[c][i] += scale * row.d[c] * batch.queries[r][i] / batch.temperature;
        result.query_scales[r][i] += scale * std::abs(row.d[c] * batch.passages[c][i]) / batch.temperature;
        result.passage_scales[c][i] += scale * std::abs(row.d[c] * batch.queries[r][i]) / batch.temperature;
      }
    }
  }
  return result;
}

DenseResult EvaluateDenseCuts(const DenseBatch& batch, std::span<const EmbeddingCut> cuts, bool normalize) {
  const size_t dim = batch.queries.at(0).size();
  DenseResult sum{.d_queries = Matrix(batch.queries.size(), std::vector<double>(dim)),
                  .d_passages = Matrix(batch.passages.size(), std::vector<double>(dim))};
  for (const EmbeddingCut& cut : cuts) {
    const auto size = static_cast<size_t>(cut.size);
    std::vector<double> query_lengths, passage_lengths;
    DenseBatch part = batch;
    for (const auto& [rows, lengths] :
         {std::pair(&part.queries, &query_lengths), std::pair(&part.passages, &passage_lengths)}) {
      for (auto& row : *rows) {
        row.resize(size);
        double square = 0;
        for (const double x : row) square += x * x;
        lengths->push_back(normalize ? std::sqrt(square) : 1);
        for (double& x : row) x /= lengths->back();
      }
    }
    const DenseResult own = EvaluateDense(part);
    sum.valid_rows = own.valid_rows;
    sum.loss += cut.weight * own.loss;
    // d y_j / d x_i = ((i == j) - y_i y_j) / |x|, or 1 at i == j.
    const auto add = [&](const Matrix& y, const std::vector<double>& lengths, const Matrix& d, Matrix& out) {
      for (size_t r = 0; r < y.size(); ++r) {
        for (size_t i = 0; i < size; ++i) {
          for (size_t j = 0; j < size; ++j) {
            const double slope = ((i == j ? 1 : 0) - (normalize ? y[r][i] * y[r][j] : 0)) / lengths[r];
            out[r][i] += cut.weight * d[r][j] * slope;
          }
        }
      }
    };
    add(part.queries, query_lengths, own.d_queries, sum.d_queries);
    add(part.passages, passage_lengths, own.d_passages, sum.d_passages);
  }
  return sum;
}

DenseBatch RandomBatch(uint64_t seed, Objective objective) {
  CounterRandom random(seed);
  DenseBatch batch{.objective = objective, .temperature = 0.1 + random.Uniform()};
  const auto rows = 1 + random.Below(12), columns = 1 + random.Below(30), dim = 1 + random.Below(8);
  const auto fill = [&](Matrix& matrix, size_t count) {
    matrix.assign(count, std::vector<double>(dim));
    for (auto& row : matrix) {
      for (double& x : row) x = static_cast<float>(2 * random.Uniform() - 1);  // the same number in every type
    }
  };
  fill(batch.queries, rows);
  fill(batch.passages, columns);
  const bool graded = objective != OBJECTIVE_RAND1LH && random.Below(2) == 1, weighted = random.Below(2) == 1;
  for (size_t r = 0; r < rows; ++r) {
    // Makes every column positive, ignored or negative, with shares that differ from row to row.
    const double positive = 0.6 * random.Uniform(), ignored = random.Below(5) == 0 ? 1 - positive : 0.2;
    batch.positives.emplace_back();
    batch.ignored.emplace_back();
    for (size_t c = 0; c < columns && random.Below(8) > 0; ++c) {
      const double draw = random.Uniform();
      if (draw < positive) batch.positives[r].push_back(static_cast<int64_t>(c));
      if (draw >= positive && draw < positive + ignored) batch.ignored[r].push_back(static_cast<int64_t>(c));
    }
    if (graded) {
      batch.grades.emplace_back();
      for (size_t i = 0; i < batch.positives[r].size(); ++i) batch.grades[r].push_back(1 + random.Below(4));
    }
    if (weighted) batch.weights.push_back(0.5 * random.Below(4));
  }
  return batch;
}

DenseTeacher RandomTeacher(uint64_t seed, const DenseBatch& batch, DistillKind kind) {
  CounterRandom random(seed);
  DenseTeacher teacher{.kind = kind, .weight = 0.25 * (1 + random.Below(8)), .temperature = 0.5 + random.Uniform()};
  for (size_t r = 0; r < batch.queries.size(); ++r) {
    const double share = random.Uniform();
    std::vector<int64_t>& list = teacher.lists.emplace_back();
    std::vector<double>& scores = teacher.scores.emplace_back();
    for (size_t c = 0; c < batch.passages.size() && random.Below(12) > 0; ++c) {
      if (random.Uniform() > share) continue;
      list.push_back(static_cast<int64_t>(c));
      scores.push_back(static_cast<float>(6 * random.Uniform() - 3));
    }
  }
  return teacher;
}

at::Tensor TensorFrom(const Matrix& matrix) {
  const auto width = matrix.empty() ? 0 : static_cast<int64_t>(matrix[0].size());
  at::Tensor tensor = at::empty({static_cast<int64_t>(matrix.size()), width}, at::kDouble);
  double* out = tensor.data_ptr<double>();
  for (const auto& row : matrix) out = std::ranges::copy(row, out).out;
  return tensor;
}

Matrix MatrixFrom(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble).contiguous();
  const double* numbers = wide.const_data_ptr<double>();
  Matrix matrix;
  for (int64_t r = 0; r < wide.size(0); ++r, numbers += wide.size(1)) matrix.emplace_back(numbers, numbers + wide.size(1));
  return matrix;
}

LossInput InputFrom(const DenseBatch& batch, at::ScalarType type) {
  LossInput input{.queries = TensorFrom(batch.queries).to(type), .passages = TensorFrom(batch.passages).to(type)};
  input.objective = batch.objective;
  input.temperature = batch.temperature;
  input.false_negative_margin = batch.margin;
  if (batch.teacher.has_value()) {
    const DenseTeacher& from = *batch.teacher;
    TeacherLists& teacher = input.teacher.emplace();
    teacher.kind = from.kind;
    teacher.weight = from.weight;
    teacher.temperature = from.temperature;
    input.without_objective = from.only;
    for (size_t r = 0; r < from.lists.size(); ++r) {
      teacher.lists.columns.insert(teacher.lists.columns.end(), from.lists[r].begin(), from.lists[r].end());
      teacher.lists.offsets.push_back(static_cast<int64_t>(teacher.lists.columns.size()));
      teacher.scores.insert(teacher.scores.end(), from.scores[r].begin(), from.scores[r].end());
    }
  }
  input.row_weights = batch.weights;
  for (size_t r = 0; r < batch.positives.size(); ++r) {
    for (const auto& [columns, edges] :
         {std::pair(&batch.positives[r], &input.positives), std::pair(&batch.ignored[r], &input.ignored)}) {
      edges->columns.insert(edges->columns.end(), columns->begin(), columns->end());
      edges->offsets.push_back(static_cast<int64_t>(edges->columns.size()));
    }
    if (!batch.grades.empty()) {
      input.positive_weights.insert(input.positive_weights.end(), batch.grades[r].begin(), batch.grades[r].end());
    }
    if (!batch.positives[r].empty()) input.total_weight += batch.weights.empty() ? 1 : batch.weights[r];
  }
  return input;
}

double LargestDifference(const at::Tensor& x, const at::Tensor& y) {
  if (y.numel() == 0) return 0;
  const double top = y.abs().max().item<double>();
  const double error = (x.to(at::kDouble) - y.to(at::kDouble)).abs().max().item<double>();
  return top == 0 ? error : error / top;
}

double LargestDifference(const LossResult& result, const DenseResult& expected) {
  const double loss = std::abs(result.loss_sum - expected.loss) / (expected.loss == 0 ? 1 : std::abs(expected.loss));
  return std::max({loss, LargestDifference(result.d_queries, TensorFrom(expected.d_queries)),
                   LargestDifference(result.d_passages, TensorFrom(expected.d_passages))});
}

}  // namespace muster
