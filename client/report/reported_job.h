// What a report shows of a job. Fetched by client/commands/report.cc; everything below it is pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/report/step_table.h"
#include "muster/v1/data.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct ReportedDataset {
  std::string name, digest;  // of the content that the job uses
  std::string roles;         // "train, evaluate"
  std::optional<muster::v1::ImportReport> report;
  std::string note;  // a sentence that says why there is no report
};

struct ReportedJob {
  muster::v1::Job job;
  StepTable steps;
  std::string steps_note;  // a sentence that says where the steps come from
  std::string job_file;
  std::vector<ReportedDataset> datasets;
  std::vector<std::string> notes;  // sentences that say what is missing in the report, and why
};

// When a report was made, and by which version.
struct ReportStamp {
  std::string version, time;
};

// The job's datasets, without reports. A dataset that it uses in several roles is listed once.
std::vector<ReportedDataset> DatasetsOf(const muster::v1::Job& job);

// A unique label for each job: its name, followed by its id if several jobs share the name.
std::vector<std::string> LabelsOf(absl::Span<const ReportedJob> jobs);

// "2026-01-31 12:00:00 UTC"; "-" if unset.
std::string UtcText(const google::protobuf::Timestamp& time);

}  // namespace muster
