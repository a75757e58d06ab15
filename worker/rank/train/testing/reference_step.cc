#include "worker/rank/train/testing/reference_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "worker/rank/model/encoder_weights.h"
#include "worker/rank/train/batch.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the objectives

bool Contains(const std::vector<uint32_t>& list, uint32_t value) { return std::ranges::find(list, value) != list.end(); }

// Differentiable; an empty list is -inf under logsumexp.
at::Tensor Stack(const std::vector<at::Tensor>& list) {
  std::vector<at::Tensor> rows = {at::zeros({0}, at::kDouble)};
  for (const at::Tensor& one : list) rows.push_back(one.reshape({1}));
  return at::cat(rows);
}

// Whether a negative of the row exceeds the lowest positive by more than the margin.
bool IsFalseNegative(const at::Tensor& scores, const std::vector<uint32_t>& positives, uint32_t column, const LossSpec& spec) {
  if (!spec.has_false_negatives()) return false;
  double lowest = scores[positives[0]].item<double>();
  for (const uint32_t p : positives) lowest = std::min(lowest, scores[p].item<double>());
  return (scores[column].item<double>() - lowest) * spec.temperature() > spec.false_negatives().margin();
}

// Loss of one query from its row of dense scores, after temperature.
at::Tensor DenseRow(const LossSpec& spec, const at::Tensor& scores, const Problem& problem, uint32_t query) {
  const auto &positives = problem.positives[query], &ignored = problem.ignored[query];
  std::vector<at::Tensor> s, logs, negatives;
  std::vector<double> shares;
  double total = 0;
  const auto grade = [&](uint32_t p) { return problem.graded ? GradeOf(query, p) : 1.0; };
  for (const uint32_t p : positives) total += grade(p);
  for (const uint32_t p : positives) {
    s.push_back(scores[p]);
    shares.push_back(grade(p) / total);
    logs.push_back(at::full({}, std::log(shares.back() * positives.size()), at::kDouble));
  }
  for (uint32_t c = 0; c < problem.passages; ++c) {
    if (Contains(positives, c) || Contains(ignored, c) || IsFalseNegative(scores, positives, c, spec)) continue;
    negatives.push_back(scores[c]);
  }
  const at::Tensor a = at::logsumexp(Stack(negatives), 0);
  const at::Tensor z = at::logsumexp(at::cat({Stack(s), Stack(negatives)}), 0);
  at::Tensor mean = at::zeros({}, at::kDouble), mean_of_singles = at::zeros({}, at::kDouble);
  for (size_t p = 0; p < s.size(); ++p) {
    mean = mean + s[p] * shares[p];
    mean_of_singles = mean_of_singles + at::softplus(a - s[p], 1, 1e9) * shares[p];
  }
  switch (spec.objective()) {
    case OBJECTIVE_UNSPECIFIED:
    case OBJECTIVE_JOINTLH:
      return z - mean;
    case OBJECTIVE_JOINTLH_SUM:
      return (z - mean) * static_cast<double>(s.size());
    case OBJECTIVE_SUMMARGLH:
      return at::softplus(a - at::logsumexp(Stack(s) + Stack(logs), 0), 1, 1e9);
    case OBJECTIVE_LSEPAIR:
      return at::softplus(a + at::logsumexp(Stack(logs) - Stack(s), 0), 1, 1e9);
    case OBJECTIVE_RAND1LH:  // the one that was drawn
      return at::softplus(a - s[0], 1, 1e9);
    case OBJECTIVE_MEAN1LH:
      return mean_of_singles;
    case Objective_INT_MIN_SENTINEL_DO_NOT_USE_:
    case Objective_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  TORCH_CHECK(false, "unknown objective ", static_cast<int>(spec.objective()));
  return {};
}

// The teacher's loss of one query.
at::Tensor TaughtRow(const DistillSpec& spec, const at::Tensor& scores, const Problem& problem, uint32_t query) {
  const std::vector<uint32_t>& list = problem.lists[query];
  std::vector<at::Tensor> s, t;
  for (const uint32_t column : list) {
    s.push_back(scores[column]);
    t.push_back(at::full({}, TeacherScoreOf(query, column) / double{spec.temperature()}, at::kDouble));
  }
  at::Tensor loss = at::zeros({}, at::kDouble);
  if (list.size() < 2) return loss;
  if (spec.kind() == DISTILL_KIND_KL) {
    const at::Tensor log_q = Stack(s) - at::logsumexp(Stack(s), 0), log_p = Stack(t) - at::logsumexp(Stack(t), 0);
    return (log_p.exp() * (log_p - log_q)).sum();
  }
  double pairs = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    for (size_t j = 0; j < list.size(); ++j) {
      if (!Contains(problem.positives[query], list[i]) || Contains(problem.positives[query], list[j])) continue;
      loss = loss + (s[i] - s[j] - t[i] + t[j]).square();
      ++pairs;
    }
  }
  return pairs == 0 ? loss : loss / pairs;
}

absl::StatusOr<at::Tensor> EncodeEach(Encoder& encoder, const Problem& problem, const Dropout& dropout) {
  std::vector<at::Tensor> rows;
  for (uint32_t slot = 0; slot < problem.tokens.size(); ++slot) {
    internal::v1::MicroBatch micro;
    micro.add_lengths(problem.tokens[slot].size());
    micro.add_slots(slot);
    micro.set_tokens(problem.tokens[slot].data(), 4 * problem.tokens[slot].size());
    ASSIGN_OR_RETURN(const PackedBatch packed,
                     PackedFromMicroBatch(micro, problem.tokens.size(), encoder.config(), at::kCPU));
    rows.push_back(encoder.Encode(packed, dropout));
  }
  return at::cat(rows);
}

// Sum over the queries of weight times loss, from the embeddings of all slots.
at::Tensor LossOf(const at::Tensor& all, const Problem& problem, const LossSpec& spec) {
  const at::Tensor passages = all.narrow(0, problem.queries, problem.passages);
  const at::Tensor scores = at::matmul(all.narrow(0, 0, problem.queries), passages.t()) / double{spec.temperature()};
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (uint32_t q = 0; q < problem.queries; ++q) {
    if (problem.positives[q].empty()) continue;
    const double weight = problem.weights[q];
    if (!spec.distill().only()) loss = loss + DenseRow(spec, scores[q], problem, q) * weight;
    if (spec.has_distill()) {
      loss = loss + TaughtRow(spec.distill(), scores[q], problem, q) * (weight * spec.distill().weight());
    }
  }
  return loss;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Encoder>> DoubleEncoder(const Encoder& encoder) {
  at::NoGradGuard no_gradient;
  ASSIGN_OR_RETURN(auto copy, Encoder::Random(encoder.config(), 0, at::kDouble));
  for (size_t i = 0; i < copy->parameters().size(); ++i) {
    copy->parameters()[i].value.copy_(encoder.parameters()[i].value);
  }
  for (size_t i = 0; i < copy->fixed().size(); ++i) copy->fixed()[i].value.copy_(encoder.fixed()[i].value);
  return copy;
}

absl::StatusOr<StepGradients> ReferenceStep(Encoder& encoder, const Problem& problem, const LossSpec& spec,
                                            const Dropout& dropout) {
  double total = 0;
  for (uint32_t q = 0; q < problem.queries; ++q) total += problem.positives[q].empty() ? 0 : problem.weights[q];
  if (total == 0) return absl::InvalidArgumentError("the problem has no valid row: its gradient is 0");
  at::AutoGradMode with_graph(true);
  for (Parameter& parameter : encoder.parameters()) parameter.value.mutable_grad() = at::Tensor();
  ASSIGN_OR_RETURN(const at::Tensor all, EncodeEach(encoder, problem, dropout));
  at::Tensor loss = at::zeros({}, at::kDouble);
  if (spec.matryoshka_dimensions().empty()) loss = LossOf(all, problem, spec);
  for (int i = 0; i < spec.matryoshka_dimensions_size(); ++i) {
    at::Tensor cut = all.narrow(1, 0, spec.matryoshka_dimensions(i));
    if (encoder.config().normalize) cut = cut / cut.square().sum(1, true).sqrt();
    loss = loss + LossOf(cut, problem, spec) * (spec.matryoshka_weights().empty() ? 1.0 : spec.matryoshka_weights(i));
  }
  loss = loss / total;
  torch::autograd::backward({loss}, {});
  StepGradients outcome{.loss = loss.item<double>()};
  for (const Parameter& parameter : encoder.parameters()) outcome.gradients.push_back(parameter.value.grad());
  return outcome;
}

bool HasZeroGradient(const std::string& parameter_name) {
  return parameter_name.ends_with("key.bias") || parameter_name.ends_with("k_lin.bias") ||
         parameter_name.ends_with("attn.k.bias") || parameter_name.ends_with(kLoraDown);
}

StepDifference DifferenceOf(const std::vector<Parameter>& parameters, const StepGradients& own,
                            const StepGradients& reference) {
  at::NoGradGuard no_gradient;
  StepDifference difference{.relative = std::abs(own.loss - reference.loss) / std::abs(reference.loss), .worst = "loss"};
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor &mine = own.gradients.at(i), &other = reference.gradients.at(i);
    const double error = (mine.to(at::kCPU, at::kDouble) - other).norm().item<double>();
    if (HasZeroGradient(parameters[i].name)) {
      difference.absolute = std::max(difference.absolute, error);
      continue;
    }
    const double relative = error / other.norm().item<double>();
    if (!(relative <= difference.relative)) {
      difference.relative = relative;
      difference.worst = parameters[i].name;
    }
  }
  return difference;
}

}  // namespace muster
