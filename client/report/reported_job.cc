#include "client/report/reported_job.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/spec/training_sets.h"
#include "common/timestamp.h"

namespace muster {
namespace {

void AddRole(const std::string& name, const std::string& digest, const char* role, std::vector<ReportedDataset>& datasets) {
  if (name.empty()) return;
  const auto known = std::find_if(datasets.begin(), datasets.end(),
                                  [&](const ReportedDataset& d) { return d.name == name && d.digest == digest; });
  if (known != datasets.end()) {
    absl::StrAppend(&known->roles, ", ", role);
  } else {
    datasets.push_back({.name = name, .digest = digest, .roles = role, .report = std::nullopt, .note = ""});
  }
}

}  // namespace

std::vector<ReportedDataset> DatasetsOf(const muster::v1::Job& job) {
  std::vector<ReportedDataset> datasets;
  const auto sets = TrainingSetsOf(job.spec().data());
  const std::vector<std::string> digests = TrainingDatasetsOf(job.resolved());
  for (size_t set = 0; set < sets.size(); ++set) {
    const auto is_same = [&](const auto& other) { return other.dataset() == sets[set].dataset(); };
    if (std::any_of(sets.begin(), sets.begin() + static_cast<ptrdiff_t>(set), is_same)) continue;  // another split
    AddRole(sets[set].dataset(), set < digests.size() ? digests[set] : "", "train", datasets);
  }
  AddRole(job.spec().evaluate().dataset(), job.resolved().evaluate_dataset(), "evaluate", datasets);
  AddRole(job.spec().report().dataset(), job.resolved().report_dataset(), "report", datasets);
  AddRole(job.spec().mine().dataset(), job.resolved().mine_dataset(), "mine", datasets);
  return datasets;
}

std::vector<std::string> LabelsOf(absl::Span<const ReportedJob> jobs) {
  std::vector<std::string> labels;
  for (const ReportedJob& one : jobs) {
    const std::string& name = one.job.spec().name();
    const auto has_it = [&](const ReportedJob& other) { return other.job.spec().name() == name; };
    const auto alike = std::count_if(jobs.begin(), jobs.end(), has_it);
    labels.push_back(alike == 1 && !name.empty() ? name : absl::StrCat(name, " (", one.job.id(), ")"));
  }
  return labels;
}

std::string UtcText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", FromProto(time), absl::UTCTimeZone());
}

}  // namespace muster
