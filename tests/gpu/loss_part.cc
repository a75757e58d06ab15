// The loss: its gradients compared with float64 on the CPU, and the cost of a large batch next to the whole score
// matrix.
#include <ATen/ATen.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/random.h"
#include "common/status.h"
#include "tests/gpu/session.h"
#include "worker/rank/loss/streaming_loss.h"

namespace muster {
namespace {

using muster::v1::Objective;

at::Tensor UnitRows(int64_t rows, int64_t width, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const at::Tensor x = at::randn({rows, width}, generator, at::kDouble);
  return x / x.norm(2, {1}, /*keepdim=*/true);
}

// Ragged positives and ignored columns, weights and grades; every seventh row has no positive.
LossInput RandomLoss(Objective objective, int64_t rows, int64_t columns, int64_t width, uint64_t seed) {
  CounterRandom random(seed);
  LossInput input;
  input.queries = UnitRows(rows, width, seed);
  input.passages = UnitRows(columns, width, seed + 1);
  input.objective = objective;
  const bool one = objective == muster::v1::OBJECTIVE_RAND1LH;
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t positives = row % 7 == 3 ? 0 : one ? 1 : 1 + random.Below(5);
    const uint64_t named = positives + random.Below(5);
    // Columns from disjoint parts of the range, so that no two are the same.
    for (uint64_t i = 0; i < named; ++i) {
      const uint64_t part = columns / 16;
      RowEdges& edges = i < positives ? input.positives : input.ignored;
      edges.columns.push_back(static_cast<int64_t>(i * part + random.Below(part)));
      if (i < positives) input.positive_weights.push_back(1 + random.Below(3));
    }
    input.positives.offsets.push_back(static_cast<int64_t>(input.positives.columns.size()));
    input.ignored.offsets.push_back(static_cast<int64_t>(input.ignored.columns.size()));
    input.row_weights.push_back(0.5 + random.Uniform());
    if (positives > 0) input.total_weight += input.row_weights.back();
  }
  return input;
}

absl::Status CompareLoss(const Session& session, Objective objective, at::ScalarType type, Figures& figures) {
  LossInput input = RandomLoss(objective, 300, 700, 96, 1);
  input.tile_rows = 64;  // several tiles each way, the last ones narrower
  input.tile_columns = 128;
  input.kept_bytes = 64 * 1024;  // some tiles stay, others are computed again
  // Rounded to bfloat16 before the loss, for both.
  input.queries = input.queries.to(type).to(at::kDouble);
  input.passages = input.passages.to(type).to(at::kDouble);
  const LossResult reference = EvaluateLoss(input);
  input.queries = input.queries.to(session.device(), type);
  input.passages = input.passages.to(session.device(), type);
  const LossResult own = EvaluateLoss(input);
  if (own.first_non_finite_row >= 0 || own.first_non_finite_passage >= 0) return absl::InternalError("a score is said not to be finite");
  if (own.valid_rows != reference.valid_rows || own.negative_pairs != reference.negative_pairs) {
    return absl::InternalError("counts of rows and pairs differ from the CPU's");
  }
  const double loss = std::abs(own.loss_sum - reference.loss_sum) / std::abs(reference.loss_sum);
  const double queries = RelativeDifference(own.d_queries, reference.d_queries);
  const double passages = RelativeDifference(own.d_passages, reference.d_passages);
  figures["difference_loss"] = loss;
  figures["difference_d_queries"] = queries;
  figures["difference_d_passages"] = passages;
  return Both(AtMost("difference of the loss", loss, 1e-5),
              Both(AtMost("difference of d_queries", queries, 1e-5),
                   AtMost("difference of d_passages", passages, 1e-5)));
}

// Jointlh over one dense matrix, in float32, as a reference for the streaming loss. Positives on the diagonal.
void WholeMatrix(const at::Tensor& queries, const at::Tensor& passages, double temperature) {
  const at::Tensor q = queries.to(at::kFloat), p = passages.to(at::kFloat);
  at::Tensor weights = at::softmax(at::matmul(q, p.t()).div_(temperature), 1);
  weights.diagonal().sub_(1);
  weights.div_(static_cast<double>(q.size(0)) * temperature);
  at::matmul(weights, p);
  at::matmul(weights.t(), q);
}

absl::Status MeasureLoss(const Session& session, at::ScalarType type, Figures& figures) {
  const int64_t size = session.on_gpu() ? 16384 : 512, width = session.on_gpu() ? 768 : 64;
  LossInput input;
  auto generator = at::detail::createCPUGenerator(3);
  const auto unit = [&] {
    const at::Tensor x = at::randn({size, width}, generator, at::kFloat);
    return (x / x.norm(2, {1}, /*keepdim=*/true)).to(session.device(), type);
  };
  input.queries = unit();
  input.passages = unit();
  for (int64_t row = 0; row < size; ++row) {
    input.positives.columns.push_back(row);
    input.positives.offsets.push_back(row + 1);
  }
  input.ignored.offsets.assign(size + 1, 0);
  input.total_weight = static_cast<double>(size);
  bool finite = true;
  const auto streamed = [&] {
    const LossResult result = EvaluateLoss(input);
    finite = finite && result.first_non_finite_row < 0 && result.first_non_finite_passage < 0;
  };
  const auto whole = [&] { WholeMatrix(input.queries, input.passages, input.temperature); };
  const int repeats = 3;
  const double streamed_seconds = LeastSeconds(session.device(), repeats, streamed);
  const double whole_seconds = LeastSeconds(session.device(), repeats, whole);
  figures["rows"] = figures["columns"] = size;
  figures["width"] = width;
  figures["milliseconds"] = 1e3 * streamed_seconds;
  figures["milliseconds_whole_matrix"] = 1e3 * whole_seconds;
  if (session.on_gpu()) {
    const auto mib = [&](absl::FunctionRef<void()> work) { return PeakBytes(session.device(), work) / 1048576.0; };
    figures["peak_mib"] = mib(streamed);
    figures["peak_mib_whole_matrix"] = mib(whole);
  }
  return finite ? absl::OkStatus() : absl::InternalError("a score is said not to be finite");
}

constexpr std::pair<const char*, at::ScalarType> kTypes[] = {{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}};

}  // namespace

void RunLossPart(Session& session) {
  for (const auto& [name, type] : kTypes) {
    for (const Objective objective :
         {muster::v1::OBJECTIVE_JOINTLH, muster::v1::OBJECTIVE_JOINTLH_SUM, muster::v1::OBJECTIVE_RAND1LH,
          muster::v1::OBJECTIVE_SUMMARGLH, muster::v1::OBJECTIVE_LSEPAIR, muster::v1::OBJECTIVE_MEAN1LH}) {
      const std::string word = absl::AsciiStrToLower(absl::StripPrefix(Objective_Name(objective), "OBJECTIVE_"));
      session.Test(absl::StrCat("loss.", name, ".", word),
                   [&](Figures& figures) { return CompareLoss(session, objective, type, figures); });
    }
  }
}

void RunLossSizePart(Session& session) {
  for (const auto& [name, type] : kTypes) {
    session.Test(absl::StrCat("loss_size.", name),
                 [&](Figures& figures) { return MeasureLoss(session, type, figures); });
  }
}

}  // namespace muster
