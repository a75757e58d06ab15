#include "client/report/step_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace muster {
namespace {

using muster::v1::StepMetrics;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr absl::string_view kSecondsSuffix = "_seconds";

double NumberOf(absl::string_view text) {
  double value = 0;
  return absl::SimpleAtod(text, &value) ? value : kMissing;
}

// In StepMetrics, zero means "not measured".
double Measured(double value) { return value == 0 ? kMissing : value; }

std::vector<std::pair<std::string, double>> MeasuredValues(const StepMetrics& point) {
  const bool has_similarities = point.positive_entropy() != 0 || point.mean_positive() != 0 || point.mean_negative() != 0;
  const auto similarity = [has_similarities](double value) { return has_similarities ? value : kMissing; };
  std::vector<std::pair<std::string, double>> values = {
      {"attempt", point.attempt()},
      {"loss", point.loss()},
      {"learning_rate", point.learning_rate()},
      {"gradient_norm", point.gradient_norm()},
      {"queries_per_second", Measured(point.queries_per_second())},
      {"tokens_per_second", Measured(point.tokens_per_second())},
      {"seconds", Measured(point.step_seconds())},
      {"positive_entropy", similarity(point.positive_entropy())},
      {"mean_positive", similarity(point.mean_positive())},
      {"mean_negative", similarity(point.mean_negative())},
      {"noise_weight", Measured(point.noise_weight())}};
  for (int place = 0; place < point.positive_weights_size(); ++place) {
    values.emplace_back(absl::StrCat("positive_weight_", place + 1), point.positive_weights(place));
  }
  return values;
}

}  // namespace

absl::StatusOr<StepTable> StepTable::FromStepLog(absl::string_view csv) {
  std::vector<absl::string_view> lines = absl::StrSplit(csv, '\n');
  lines.pop_back();  // empty, or a line that was cut
  const std::vector<absl::string_view> names =
      lines.empty() ? std::vector<absl::string_view>() : absl::StrSplit(lines[0], ',');
  const size_t step_column = static_cast<size_t>(std::find(names.begin(), names.end(), "step") - names.begin());
  if (step_column == names.size()) {
    return absl::InvalidArgumentError("the step log has no column \"step\", so it is not a step log.");
  }
  StepTable table;
  std::vector<std::vector<double>*> columns;
  for (const absl::string_view name : names) {
    const bool is_number = name != "step" && name != "time" && !table.columns_.contains(std::string(name));
    columns.push_back(is_number ? &table.columns_[std::string(name)] : nullptr);
    absl::string_view phase = name;
    if (is_number && absl::ConsumeSuffix(&phase, kSecondsSuffix)) table.phases_.emplace_back(phase);
  }
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<absl::string_view> values = absl::StrSplit(lines[i], ',');
    if (values.size() != names.size()) continue;
    const double step = NumberOf(values[step_column]);
    if (!std::isfinite(step) || step <= (table.steps_.empty() ? 0 : table.steps_.back())) continue;
    table.steps_.push_back(step);
    for (size_t c = 0; c < columns.size(); ++c) {
      if (columns[c] != nullptr) columns[c]->push_back(NumberOf(values[c]));
    }
  }
  table.logged_ = table.steps_.size();
  table.absent_.assign(table.steps_.size(), kMissing);
  std::vector<double> rates = table.absent_;
  const std::vector<double>&tokens = table.Column("tokens"), &seconds = table.Column("seconds");
  for (size_t i = 0; i < rates.size(); ++i) {
    if (seconds[i] > 0) rates[i] = tokens[i] / seconds[i];
  }
  table.columns_.emplace("tokens_per_second", std::move(rates));
  return table;
}

void StepTable::DropFrom(double step) {
  const size_t kept = static_cast<size_t>(std::lower_bound(steps_.begin(), steps_.end(), step) - steps_.begin());
  steps_.resize(kept);
  absent_.resize(kept);
  for (auto& [name, values] : columns_) values.resize(kept);
  logged_ = std::min(logged_, kept);
}

void StepTable::Append(const Points& points) {
  for (const StepMetrics& point : points) {
    const double step = static_cast<double>(point.step());
    if (!steps_.empty() && steps_.back() >= step) DropFrom(step);
    for (const auto& [name, value] : MeasuredValues(point)) {
      std::vector<double>& column = columns_[name];
      column.resize(steps_.size(), kMissing);
      column.push_back(value);
    }
    steps_.push_back(step);
    absent_.push_back(kMissing);
    for (auto& [name, values] : columns_) values.resize(steps_.size(), kMissing);
  }
}

const std::vector<double>& StepTable::Column(const std::string& name) const {
  const auto found = columns_.find(name);
  return found == columns_.end() ? absent_ : found->second;
}

bool StepTable::HasValues(const std::string& name) const {
  const std::vector<double>& values = Column(name);
  return std::any_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

}  // namespace muster
