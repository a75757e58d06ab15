#include "worker/rank/loss/loss_cases.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/status.h"
#include "worker/rank/loss/streaming_loss.h"

namespace muster {
namespace {

using Json = nlohmann::json;

at::Tensor MatrixFrom(const Json& rows, at::ScalarType type) {
  const auto values = rows.get<std::vector<std::vector<double>>>();
  const int64_t width = values.empty() ? 0 : static_cast<int64_t>(values[0].size());
  at::Tensor matrix = at::empty({static_cast<int64_t>(values.size()), width}, at::kDouble);
  double* out = matrix.data_ptr<double>();
  for (const auto& row : values) {
    if (static_cast<int64_t>(row.size()) != width) throw std::runtime_error("rows of a matrix differ in length");
    out = std::copy(row.begin(), row.end(), out);
  }
  return matrix.to(type);
}

double Difference(const at::Tensor& x, const at::Tensor& y) {
  if (x.sizes() != y.sizes()) throw std::runtime_error("a gradient has another shape than expected");
  if (y.numel() == 0) return 0;
  const double top = y.abs().max().item<double>();
  const double error = (x.to(at::kDouble) - y).abs().max().item<double>();
  if (top == 0) return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return std::isfinite(error) ? error / top : std::numeric_limits<double>::infinity();
}

struct Case {
  LossInput input;  // of all rows
  std::vector<std::vector<int64_t>> positives, ignored;
  std::vector<std::vector<double>> grades;
  std::vector<double> weights;
};

Case ParseCase(const Json& json, const LossCaseOptions& options) {
  const at::ScalarType type = options.double_precision ? at::kDouble : at::kFloat;
  Case c;
  const auto objective = json.at("objective").get<std::string>();
  if (!muster::v1::Objective_Parse("OBJECTIVE_" + absl::AsciiStrToUpper(objective), &c.input.objective)) {
    throw std::runtime_error("unknown objective " + objective);
  }
  c.input.temperature = json.at("temperature").get<double>();
  c.input.queries = MatrixFrom(json.at("queries"), type);
  c.input.passages = MatrixFrom(json.at("passages"), type);
  c.input.tile_rows = options.tile_rows;
  c.input.tile_columns = options.tile_columns;
  json.at("positives").get_to(c.positives);
  json.at("ignored").get_to(c.ignored);
  if (json.contains("grades") && !json["grades"].is_null()) json["grades"].get_to(c.grades);
  if (json.contains("query_weights") && !json["query_weights"].is_null()) json["query_weights"].get_to(c.weights);
  const size_t rows = c.input.queries.size(0);
  if (c.positives.size() != rows || c.ignored.size() != rows || (!c.weights.empty() && c.weights.size() != rows) ||
      (!c.grades.empty() && c.grades.size() != rows)) {
    throw std::runtime_error("positives, ignored, grades and weights must have as many rows as queries");
  }
  for (size_t r = 0; r < rows; ++r) {
    for (const auto* columns : {&c.positives[r], &c.ignored[r]}) {
      for (const int64_t column : *columns) {
        if (column < 0 || column >= c.input.passages.size(0)) throw std::runtime_error("a column is out of range");
      }
    }
    if (!c.grades.empty() && c.grades[r].size() != c.positives[r].size()) {
      throw std::runtime_error("grades must stand beside positives");
    }
    if (!c.positives[r].empty()) c.input.total_weight += c.weights.empty() ? 1.0 : c.weights[r];
  }
  return c;
}

void Append(const std::vector<int64_t>& columns, RowEdges& edges) {
  edges.columns.insert(edges.columns.end(), columns.begin(), columns.end());
  edges.offsets.push_back(static_cast<int64_t>(edges.columns.size()));
}

LossResult RunRows(const Case& c, int64_t first, int64_t last) {
  LossInput input = c.input;
  input.queries = c.input.queries.narrow(0, first, last - first);
  for (int64_t r = first; r < last; ++r) {
    Append(c.positives[r], input.positives);
    Append(c.ignored[r], input.ignored);
    if (!c.grades.empty()) {
      input.positive_weights.insert(input.positive_weights.end(), c.grades[r].begin(), c.grades[r].end());
    }
    if (!c.weights.empty()) input.row_weights.push_back(c.weights[r]);
  }
  return EvaluateLoss(input);
}

LossCaseOutcome RunCase(const Json& json, const LossCaseOptions& options) {
  const Case c = ParseCase(json, options);
  const int64_t rows = c.input.queries.size(0);
  double loss = 0;
  int64_t valid_rows = 0;
  std::vector<at::Tensor> d_queries;
  at::Tensor d_passages = at::zeros_like(c.input.passages);
  for (int64_t rank = 0; rank < options.world_size; ++rank) {
    const LossResult part =
        RunRows(c, rows * rank / options.world_size, rows * (rank + 1) / options.world_size);
    if (part.first_non_finite_row >= 0) throw std::runtime_error("a score is not finite");
    loss += part.loss_sum;
    valid_rows += part.valid_rows;
    d_queries.push_back(part.d_queries);
    d_passages += part.d_passages;
  }
  const Json& expect = json.at("expect");
  LossCaseOutcome outcome{.name = json.at("name").get<std::string>()};
  outcome.limit = absl::EndsWith(outcome.name, "-large-scores") ? 2e-4 : 1e-5;
  at::Tensor own_loss = at::zeros({1}, at::kDouble), expected_loss = at::zeros({1}, at::kDouble);
  own_loss.fill_(loss);
  expected_loss.fill_(expect.at("loss").get<double>());
  const double differences[] = {
      Difference(own_loss, expected_loss),
      Difference(at::cat(d_queries), MatrixFrom(expect.at("d_queries"), at::kDouble)),
      Difference(d_passages, MatrixFrom(expect.at("d_passages"), at::kDouble))};
  outcome.difference = *std::max_element(std::begin(differences), std::end(differences));
  outcome.passed = outcome.difference <= outcome.limit && valid_rows == expect.at("valid_rows").get<int64_t>();
  return outcome;
}

}  // namespace

absl::StatusOr<std::vector<LossCaseOutcome>> RunLossCases(const std::filesystem::path& file,
                                                          const LossCaseOptions& options) {
  std::ifstream stream(file);
  if (!stream) return absl::NotFoundError(absl::StrCat(file.string(), ": cannot be read"));
  const Json cases = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!cases.is_array()) return absl::InvalidArgumentError(absl::StrCat(file.string(), ": must be a JSON list of cases"));
  std::vector<LossCaseOutcome> outcomes;
  for (const Json& one : cases) {
    try {
      outcomes.push_back(RunCase(one, options));
    } catch (const std::exception& error) {
      const std::string name = one.is_object() ? one.value("name", "without a name") : "that is no object";
      return absl::InvalidArgumentError(absl::StrCat(file.string(), ": case ", name, ": ", error.what()));
    }
  }
  return outcomes;
}

}  // namespace muster
