#include "worker/rank/loss/loss_cases.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "worker/rank/collective/in_process.h"
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
  if (y.numel() == 0) return 0;
  const double top = y.abs().max().item<double>();
  const double error = (x.to(at::kDouble) - y).abs().max().item<double>();
  if (top == 0) return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return std::isfinite(error) ? error / top : std::numeric_limits<double>::infinity();
}

struct Case {
  std::string name;
  LossInput input;  // of all rows, without the edges, weights and grades
  std::vector<std::vector<int64_t>> positives, ignored;
  std::vector<std::vector<double>> grades;
  std::vector<double> weights;
  std::vector<std::vector<int64_t>> lists;  // of the teacher; empty: there is none
  std::vector<std::vector<double>> teacher_scores;
  double expected_loss = 0;
  int64_t expected_valid_rows = 0;
  at::Tensor expected_d_queries, expected_d_passages;
};

void Require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

// One row's columns.
void CheckColumns(std::vector<int64_t> named, int64_t columns) {
  std::ranges::sort(named);
  Require(named.empty() || (named.front() >= 0 && named.back() < columns), "a column is out of range");
  Require(std::ranges::adjacent_find(named) == named.end(), "a row names a column twice");
}

void CheckTeacher(const Case& c) {
  if (!c.input.teacher.has_value()) return;
  const size_t rows = c.input.queries.size(0);
  Require(c.input.teacher->temperature > 0, "distill.temperature must be above 0");
  Require(c.lists.size() == rows && c.teacher_scores.size() == rows, "distill: lists and scores must have as many rows as queries");
  for (size_t r = 0; r < rows; ++r) {
    CheckColumns(c.lists[r], c.input.passages.size(0));
    Require(c.lists[r].size() == c.teacher_scores[r].size(), "distill: there must be one score per column of a list");
  }
}

// Checks every value that the kernel assumes to be valid.
void Check(const Case& c) {
  const size_t rows = c.input.queries.size(0);
  Require(c.input.temperature > 0, "temperature must be above 0");
  Require(c.input.queries.size(1) == c.input.passages.size(1), "queries and passages must be equally long");
  Require(c.positives.size() == rows && c.ignored.size() == rows && (c.weights.empty() || c.weights.size() == rows) &&
              (c.grades.empty() || c.grades.size() == rows),
          "positives, ignored, grades and weights must have as many rows as queries");
  for (size_t r = 0; r < rows; ++r) {
    std::vector<int64_t> named = c.positives[r];
    named.insert(named.end(), c.ignored[r].begin(), c.ignored[r].end());
    CheckColumns(std::move(named), c.input.passages.size(0));
    Require(c.weights.empty() || c.weights[r] >= 0, "a weight is below 0");
    if (c.grades.empty()) continue;
    Require(c.grades[r].size() == c.positives[r].size(), "there must be one grade per positive");
    for (const double grade : c.grades[r]) Require(grade > 0, "a grade is not above 0");
  }
}

void ParseTeacher(const Json& json, Case& c) {
  TeacherLists& teacher = c.input.teacher.emplace();
  const auto kind = json.at("kind").get<std::string>();
  if (!muster::v1::DistillKind_Parse("DISTILL_KIND_" + absl::AsciiStrToUpper(kind), &teacher.kind)) {
    throw std::runtime_error("unknown kind of distillation " + kind);
  }
  teacher.weight = json.value("weight", 1.0);
  teacher.temperature = json.value("temperature", 1.0);
  c.input.without_objective = json.value("only", false);
  json.at("lists").get_to(c.lists);
  json.at("scores").get_to(c.teacher_scores);
}

Case ParseCase(const Json& json, const LossCaseOptions& options) {
  const at::ScalarType type = options.double_precision ? at::kDouble : at::kFloat;
  Case c{.name = json.at("name").get<std::string>()};
  const auto objective = json.at("objective").get<std::string>();
  if (!muster::v1::Objective_Parse("OBJECTIVE_" + absl::AsciiStrToUpper(objective), &c.input.objective)) {
    throw std::runtime_error("unknown objective " + objective);
  }
  c.input.temperature = json.at("temperature").get<double>();
  c.input.queries = MatrixFrom(json.at("queries"), type);
  c.input.passages = MatrixFrom(json.at("passages"), type);
  if (json.contains("false_negative_margin")) c.input.false_negative_margin = json["false_negative_margin"].get<double>();
  c.input.tile_rows = options.tile_rows;
  c.input.tile_columns = options.tile_columns;
  c.input.kept_bytes = options.kept_bytes;
  json.at("positives").get_to(c.positives);
  json.at("ignored").get_to(c.ignored);
  if (json.contains("grades") && !json["grades"].is_null()) json["grades"].get_to(c.grades);
  if (json.contains("query_weights") && !json["query_weights"].is_null()) json["query_weights"].get_to(c.weights);
  if (json.contains("distill")) ParseTeacher(json["distill"], c);
  Check(c);
  CheckTeacher(c);
  for (size_t r = 0; r < c.positives.size(); ++r) {
    if (!c.positives[r].empty()) c.input.total_weight += c.weights.empty() ? 1.0 : c.weights[r];
  }
  const Json& expect = json.at("expect");
  c.expected_loss = expect.at("loss").get<double>();
  c.expected_valid_rows = expect.at("valid_rows").get<int64_t>();
  c.expected_d_queries = MatrixFrom(expect.at("d_queries"), at::kDouble);
  c.expected_d_passages = MatrixFrom(expect.at("d_passages"), at::kDouble);
  Require(c.expected_d_queries.sizes() == c.input.queries.sizes() &&
              c.expected_d_passages.sizes() == c.input.passages.sizes(),
          "expected gradients must have the shapes of queries and passages");
  return c;
}

void Append(const std::vector<int64_t>& columns, RowEdges& edges) {
  edges.columns.insert(edges.columns.end(), columns.begin(), columns.end());
  edges.offsets.push_back(static_cast<int64_t>(edges.columns.size()));
}

// How many of `total` each rank has, split as evenly as possible.
std::vector<int64_t> Shares(int64_t total, int64_t world_size) {
  std::vector<int64_t> shares;
  for (int64_t rank = 0; rank < world_size; ++rank) {
    shares.push_back(total * (rank + 1) / world_size - total * rank / world_size);
  }
  return shares;
}

at::Tensor Own(const at::Tensor& all, const std::vector<int64_t>& shares, int64_t rank) {
  return all.narrow(0, std::accumulate(shares.begin(), shares.begin() + rank, int64_t{0}), shares[rank]);
}

at::Tensor Scalar(double value) { return at::zeros({1}, at::kDouble).fill_(value); }

// Treats the embeddings as a step does: every rank has some queries and some passages, sees all passages, and gets the
// sum over ranks of its own passages' gradients.
absl::StatusOr<LossCaseOutcome> RunCase(const Case& c, Group& group) {
  const auto row_shares = Shares(c.input.queries.size(0), group.world_size());
  const auto column_shares = Shares(c.input.passages.size(0), group.world_size());
  const int64_t rank = group.rank();
  LossInput input = c.input;
  input.queries = Own(c.input.queries, row_shares, rank);
  ASSIGN_OR_RETURN(input.passages,
                   group.AllGatherRows(Own(c.input.passages, column_shares, rank).contiguous(), column_shares));
  const int64_t first = std::accumulate(row_shares.begin(), row_shares.begin() + rank, int64_t{0});
  for (int64_t r = first; r < first + row_shares[rank]; ++r) {
    Append(c.positives[r], input.positives);
    Append(c.ignored[r], input.ignored);
    if (!c.grades.empty()) {
      input.positive_weights.insert(input.positive_weights.end(), c.grades[r].begin(), c.grades[r].end());
    }
    if (!c.weights.empty()) input.row_weights.push_back(c.weights[r]);
    if (!input.teacher.has_value()) continue;
    Append(c.lists[r], input.teacher->lists);
    input.teacher->scores.insert(input.teacher->scores.end(), c.teacher_scores[r].begin(), c.teacher_scores[r].end());
  }
  const LossResult own = EvaluateLoss(input);
  const bool bad = own.first_non_finite_row >= 0 || own.first_non_finite_passage >= 0;
  at::Tensor sums[] = {Scalar(own.loss_sum), Scalar(static_cast<double>(own.valid_rows)), Scalar(bad)};
  RETURN_IF_ERROR(group.AllReduceSum(sums));
  if (sums[2].item<double>() > 0) {
    return absl::InvalidArgumentError(absl::StrCat("case ", c.name, ": a score is not finite"));
  }
  ASSIGN_OR_RETURN(const at::Tensor d_queries, group.AllGatherRows(own.d_queries, row_shares));
  ASSIGN_OR_RETURN(const at::Tensor d_own, group.ReduceScatterRowsSum(own.d_passages, column_shares));
  ASSIGN_OR_RETURN(const at::Tensor d_passages, group.AllGatherRows(d_own, column_shares));

  LossCaseOutcome outcome{.name = c.name, .limit = absl::EndsWith(c.name, "-large-scores") ? 2e-4 : 1e-5};
  outcome.difference = std::max({Difference(sums[0], Scalar(c.expected_loss)),
                                 Difference(d_queries, c.expected_d_queries),
                                 Difference(d_passages, c.expected_d_passages)});
  outcome.valid_rows_agree = sums[1].item<double>() == static_cast<double>(c.expected_valid_rows);
  outcome.passed = outcome.difference <= outcome.limit && outcome.valid_rows_agree;
  return outcome;
}

}  // namespace

absl::StatusOr<std::vector<LossCaseOutcome>> RunLossCases(const std::filesystem::path& file,
                                                          const LossCaseOptions& options) {
  std::ifstream stream(file);
  if (!stream) return absl::NotFoundError(absl::StrCat(file.string(), ": cannot be read"));
  const Json list = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return absl::InvalidArgumentError(absl::StrCat(file.string(), ": must be a JSON list of cases"));
  std::vector<Case> cases;
  for (const Json& one : list) {
    try {
      cases.push_back(ParseCase(one, options));
    } catch (const std::exception& error) {
      const bool named = one.is_object() && one.contains("name") && one["name"].is_string();
      const std::string name = named ? one["name"].get<std::string>() : absl::StrCat("number ", cases.size() + 1);
      return absl::InvalidArgumentError(absl::StrCat(file.string(), ": case ", name, ": ", error.what()));
    }
  }
  std::vector<LossCaseOutcome> outcomes;  // of rank 0; every rank finds the same
  const auto statuses = RunInProcessRanks(options.world_size, [&](Group& group) -> absl::Status {
    for (const Case& c : cases) {
      ASSIGN_OR_RETURN(LossCaseOutcome outcome, RunCase(c, group));
      if (group.rank() == 0) outcomes.push_back(std::move(outcome));
    }
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return absl::Status(status.code(), absl::StrCat(file.string(), ": ", status.message()));
  }
  return outcomes;
}

}  // namespace muster
