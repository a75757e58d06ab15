// A job's steps as columns of numbers, from its step log and from the coordinator's history. Pure.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "muster/v1/job_metrics.pb.h"

namespace muster {

// The columns are those of the step log (docs/reference/data-schemas.md) and `tokens_per_second`. A value that is missing or
// was not measured is NaN.
class StepTable {
 public:
  using Points = google::protobuf::RepeatedPtrField<muster::v1::StepMetrics>;

  // INVALID_ARGUMENT unless the text begins with a header that has a column `step`. Skips incomplete lines, and steps that
  // are not above the previous one.
  static absl::StatusOr<StepTable> FromStepLog(absl::string_view csv);

  // Adds points in the coordinator's order. A point whose step is not above the table's last step belongs to a later attempt,
  // which repeated steps: it replaces that step and all steps after it.
  void Append(const Points& points);

  const std::vector<double>& steps() const { return steps_; }  // ascending, from 1
  size_t logged() const { return logged_; }  // number of rows from the step log; they come first
  // The column's values, one per step; all NaN if the column does not exist.
  const std::vector<double>& Column(const std::string& name) const;
  bool HasValues(const std::string& name) const;  // whether the column has a finite value
  // Names of the phases whose seconds the step log has, in the log's order: data, encode, …
  const std::vector<std::string>& phases() const { return phases_; }

 private:
  void DropFrom(double step);

  std::vector<double> steps_;
  std::map<std::string, std::vector<double>> columns_;
  std::vector<std::string> phases_;
  std::vector<double> absent_;  // NaN for every step
  size_t logged_ = 0;
};

}  // namespace muster
