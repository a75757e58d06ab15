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
  std::string note;  // why there is no report; a sentence
};

struct ReportedJob {
  muster::v1::Job job;
  StepTable steps;
  std::string steps_note;  // where the steps are from; a sentence
  std::string job_file;
  std::vector<ReportedDataset> datasets;
  std::vector<std::string> notes;  // what is missing in the report, and why; sentences
};

// When and by what a report was made.
struct ReportStamp {
  std::string version, time;
};

// The datasets of a job by digest, without reports; what several roles share is listed once.
std::vector<ReportedDataset> DatasetsOf(const muster::v1::Job& job);

// A name for each job that no other has: its own, or with its id where jobs share a name.
std::vector<std::string> LabelsOf(absl::Span<const ReportedJob> jobs);

// "2026-01-31 12:00:00 UTC"; "-" if unset.
std::string UtcText(const google::protobuf::Timestamp& time);

}  // namespace muster
