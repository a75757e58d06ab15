#include "client/report/fetch.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/find_job.h"
#include "client/report/settings.h"
#include "client/step_log.h"
#include "client/words.h"
#include "common/rpc/blobs.h"
#include "common/status.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::DataService;
using muster::v1::JobService;

constexpr absl::Duration kHistoryDeadline = absl::Seconds(60);
constexpr absl::Duration kPatience = absl::Seconds(10);  // for a data server that does not answer

// The coordinator's metrics of the steps after `after`.
absl::StatusOr<StepTable::Points> HistoryOf(JobService::Stub& jobs, const std::string& id, uint64_t after) {
  muster::v1::StreamJobMetricsRequest request;
  request.set_id(id);
  request.set_after_step(after);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(RealClock().Now() + kHistoryDeadline));
  const auto reader = jobs.StreamJobMetrics(&context, request);
  StepTable::Points points;
  muster::v1::StreamJobMetricsResponse part;
  while (reader->Read(&part)) points.MergeFrom(part.points());
  RETURN_IF_ERROR(ExplainUnreachable(FromGrpc(reader->Finish())));
  return points;
}

std::string StepsNote(const StepTable& steps) {
  const size_t logged = steps.logged(), others = steps.steps().size() - logged;
  if (steps.steps().empty()) return "The job has reported no step.";
  const std::string history = absl::StrCat("the coordinator's history, which keeps recent steps dense and old ones sparse: ",
                                           Plural(others, "step"), ".");
  if (logged == 0) return absl::StrCat("The curves are from ", history);
  const std::string log =
      absl::StrCat("The curves are from the job's step log, which has every step: ", Plural(logged, "step"));
  return others == 0 ? absl::StrCat(log, ".") : absl::StrCat(log, ". Those after it are from ", history);
}

// Ends with a period even if the server's message does not.
std::string Sentence(std::string_view what, const absl::Status& status) {
  std::string text = absl::StrCat(std::string(what), ": ", status.message());
  if (text.back() != '.') text += ".";
  return text;
}

}  // namespace

ReportFetcher::ReportFetcher(const Connection& connection)
    : connection_(connection), jobs_(JobService::NewStub(connection.coordinator())) {}

absl::Status ReportFetcher::ReadSteps(ReportedJob& report) {
  if (data_->ok()) {
    BlobClient blobs(**data_, kPatience);
    const absl::StatusOr<std::string> log = FetchStepLog(*jobs_, blobs, report.job.id());
    absl::StatusOr<StepTable> table = log.ok() ? StepTable::FromStepLog(*log) : absl::StatusOr<StepTable>(log.status());
    if (table.ok()) {
      report.steps = *std::move(table);
    } else if (!absl::IsFailedPrecondition(table.status())) {  // that is a job without a checkpoint
      report.notes.push_back(Sentence("The step log cannot be read", table.status()));
      if (absl::IsUnavailable(table.status())) data_ = table.status();
    }
  }
  const uint64_t after = report.steps.steps().empty() ? 0 : static_cast<uint64_t>(report.steps.steps().back());
  ASSIGN_OR_RETURN(const StepTable::Points points, HistoryOf(*jobs_, report.job.id(), after));
  report.steps.Append(points);
  report.steps_note = StepsNote(report.steps);
  return absl::OkStatus();
}

void ReportFetcher::ReadDatasets(ReportedJob& report) {
  report.datasets = DatasetsOf(report.job);
  for (ReportedDataset& dataset : report.datasets) {
    if (!data_->ok()) {
      dataset.note = "No data server answered, so there is no report of its import.";
      continue;
    }
    const auto stub = DataService::NewStub(**data_);
    muster::v1::GetDatasetRequest request;
    request.set_name(dataset.name);
    const auto found = Call(*stub, &DataService::Stub::GetDataset, request);
    if (absl::IsNotFound(found.status())) {
      dataset.note = "The dataset's name was removed, so there is no report of its import.";
    } else if (!found.ok()) {
      dataset.note = Sentence("The report of its import cannot be read", found.status());
    } else if (found->dataset().digest() != dataset.digest) {
      dataset.note = absl::StrCat("The name has other content now (", found->dataset().digest().substr(0, 12),
                                  "), so there is no report of what the job uses.");
    } else if (!found->has_report()) {
      dataset.note = "The dataset was imported before reports were stored.";
    } else {
      dataset.report = found->report();
    }
  }
}

absl::StatusOr<ReportedJob> ReportFetcher::Fetch(const std::string& given) {
  ReportedJob report;
  ASSIGN_OR_RETURN(report.job, GetNamedJob(*jobs_, given));
  if (!data_.has_value()) data_ = connection_.Data();
  if (!data_->ok()) {
    report.notes.push_back(
        Sentence("No data server answers, so the step log and the reports of imports are missing", data_->status()));
  }
  RETURN_IF_ERROR(ReadSteps(report));
  ReadDatasets(report);
  report.job_file = JobFileOf(report.job.spec());
  return report;
}

}  // namespace muster
