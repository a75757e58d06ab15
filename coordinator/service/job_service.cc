#include "coordinator/service/job_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/metadata.h"
#include "common/spec/job_source.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "coordinator/core/job_list.h"
#include "coordinator/core/model_source.h"
#include "coordinator/core/requests.h"
#include "coordinator/core/submission.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using grpc::ServerContext;
using muster::v1::Job;

template <typename Response>
absl::Status Answer(absl::StatusOr<Job> job, Response& response) {
  if (job.ok()) *response.mutable_job() = *std::move(job);
  return job.status();
}

// A submitter may only command their own jobs.
absl::Status CheckOwner(const AdmittedCall& call, const Job& job) {
  if (call.principal.role != Role::kSubmitter || job.owner() == call.principal.name) return absl::OkStatus();
  return WithReason(absl::PermissionDeniedError(absl::StrCat("job ", job.id(), " belongs to ", job.owner(), ", and you are ",
                                                             call.principal.name, ". Ask its owner or an operator.")),
                    "NOT_OWNER");
}

}  // namespace

absl::StatusOr<Job> JobServiceImpl::View(const std::string& id) {
  absl::StatusOr<Job> job;
  RETURN_IF_ERROR(options_.backend->Query(
      [&](const State& state, const Soft& soft, absl::Time) { job = ViewJob(state, soft, id); }));
  return job;
}

absl::StatusOr<Job> JobServiceImpl::CallAndView(Event event) {
  absl::StatusOr<Job> job;
  const absl::StatusOr<std::string> id = options_.backend->Call(
      std::move(event),
      [&](const State& state, const Soft& soft, const std::string& subject) { job = ViewJob(state, soft, subject); });
  RETURN_IF_ERROR(id.status());
  return job;
}

absl::StatusOr<JobServiceImpl::Resolution> JobServiceImpl::Resolve(const std::string& owner, const muster::v1::JobSpec& given,
                                                                  const muster::v1::JobSpec& filled) {
  muster::internal::v1::ResolveRequest resolve;
  resolve.set_owner(owner);
  *resolve.mutable_spec() = filled;
  // The data server's notes name data that was left out, perhaps by mistake.
  if (!given.data().negatives().has_per_query()) {
    resolve.mutable_spec()->mutable_data()->mutable_negatives()->clear_per_query();
  }
  if (!given.model().has_max_length()) resolve.mutable_spec()->mutable_model()->clear_max_length();
  if (NamesJob(filled.model().from())) {
    absl::StatusOr<ModelSource> source;
    RETURN_IF_ERROR(options_.backend->Query(
        [&](const State& state, const Soft&, absl::Time) { source = SourceOfModel(state, filled.model().from()); }));
    RETURN_IF_ERROR(source.status());
    resolve.set_job_model_manifest(source->manifest);
    if (source->checkpoint.has_value()) *resolve.mutable_model_checkpoint() = *std::move(source->checkpoint);
  }
  ASSIGN_OR_RETURN(Resolution resolution, options_.resolve(resolve));
  if (resolve.has_model_checkpoint() && !resolution.resolved.has_model_checkpoint()) {
    return absl::UnimplementedError("model.from: the data server has an older version, without checkpoints of other jobs. Upgrade it.");
  }
  if (resolution.resolved.stages_size() != filled.stages_size()) {
    return absl::UnimplementedError("stages: the data server has an older version, which does not support stages. Upgrade it.");
  }
  if (!EvaluatesOnly(filled) && resolution.resolved.train_datasets_size() != filled.data().sets_size()) {
    return absl::UnimplementedError("data.sets: the data server has an older version, which trains on one set. Upgrade it.");
  }
  if (filled.has_mine() && resolution.resolved.mine_dataset().empty()) {
    return absl::UnimplementedError("mine: the data server has an older version, which does not support mining. Upgrade it.");
  }
  if (filled.has_mine()) resolution.resolved.set_mine_owner(owner);
  return resolution;
}

absl::Status JobServiceImpl::DryRun(const std::string& owner, const muster::v1::SubmitJobRequest& request,
                                    muster::v1::SubmitJobResponse& response, std::vector<std::string>& notes) {
  Job& job = *response.mutable_job();
  *job.mutable_spec() = request.spec();
  job.set_owner(owner);
  RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft&, absl::Time) {
    job.mutable_spec()->mutable_resources()->set_device(DecidedDevice(state, job.spec().resources().device()));
  }));
  FillDefaults(*job.mutable_spec());
  RETURN_IF_ERROR(ValidateJobSpec(job.spec()));
  ASSIGN_OR_RETURN(Resolution resolution, Resolve(owner, request.spec(), job.spec()));
  notes = std::move(resolution.notes);
  *job.mutable_resolved() = std::move(resolution.resolved);
  muster::internal::v1::PreviewRequest preview;
  *preview.mutable_spec() = job.spec();
  *preview.mutable_resolved() = job.resolved();
  ASSIGN_OR_RETURN(*response.mutable_preview(), options_.preview(preview));
  return options_.backend->Query([&](const State& state, const Soft& soft, absl::Time) {
    EstimateSeconds(state, soft, job, *response.mutable_preview());
  });
}

absl::StatusOr<Job> JobServiceImpl::SubmitJobFor(const std::string& owner, const muster::v1::SubmitJobRequest& request,
                                                 std::vector<std::string>& notes) {
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  muster::SubmitJob submit;  // the event
  submit.job_id = options_.draw_id();
  submit.owner = owner;
  submit.request_id = request.request_id();
  submit.max_active_jobs = options_.max_active_jobs;
  submit.spec = request.spec();
  FillDefaults(submit.spec);
  if (!request.request_id().empty()) {  // before any check whose result may have changed since the first request
    absl::StatusOr<Job> known = absl::NotFoundError("");
    RETURN_IF_ERROR(options_.backend->Query([&](const State& state, const Soft& soft, absl::Time) {
      const absl::StatusOr<const JobRecord*> found = FindSubmission(state, owner, request.request_id(), submit.spec);
      if (!found.ok()) known = found.status();
      if (found.ok() && *found != nullptr) known = ViewJob(state, soft, (*found)->job().id());
    }));
    if (!absl::IsNotFound(known.status())) return known;
  }
  RETURN_IF_ERROR(ValidateJobSpec(submit.spec));
  RETURN_IF_ERROR(options_.backend->CheckRoom());
  ASSIGN_OR_RETURN(Resolution resolution, Resolve(owner, request.spec(), submit.spec));
  submit.resolved = std::move(resolution.resolved);
  notes = std::move(resolution.notes);
  return CallAndView(std::move(submit));
}

grpc::Status JobServiceImpl::SubmitJob(ServerContext* context, const muster::v1::SubmitJobRequest* request,
                                       muster::v1::SubmitJobResponse* response) {
  return options_.admission->Serve(*context, "JobService/SubmitJob", request, [&](AdmittedCall& call) {
    std::vector<std::string> notes;
    const absl::Status status = request->dry_run()
                                    ? DryRun(call.principal.name, *request, *response, notes)
                                    : Answer(SubmitJobFor(call.principal.name, *request, notes), *response);
    if (status.ok()) AddNotes(notes, *context);
    call.subject = status.ok() && !request->dry_run() ? response->job().id() : request->spec().name();
    return status;
  });
}

grpc::Status JobServiceImpl::GetJob(ServerContext* context, const muster::v1::GetJobRequest* request,
                                    muster::v1::GetJobResponse* response) {
  return options_.admission->Serve(*context, "JobService/GetJob", request,
                                   [&](AdmittedCall&) { return Answer(View(request->id()), *response); });
}

grpc::Status JobServiceImpl::ListJobs(ServerContext* context, const muster::v1::ListJobsRequest* request,
                                      muster::v1::ListJobsResponse* response) {
  return options_.admission->Serve(*context, "JobService/ListJobs", request, [&](AdmittedCall&) -> absl::Status {
    absl::StatusOr<muster::v1::ListJobsResponse> page;
    RETURN_IF_ERROR(options_.backend->Query(
        [&](const State& state, const Soft& soft, absl::Time) { page = ViewJobs(state, soft, *request); }));
    if (page.ok()) *response = *std::move(page);
    return page.status();
  });
}

grpc::Status JobServiceImpl::WatchJob(ServerContext* context, const muster::v1::WatchJobRequest* request,
                                      grpc::ServerWriter<muster::v1::WatchJobResponse>* writer) {
  return options_.admission->Serve(*context, "JobService/WatchJob", request,
                                   [&](AdmittedCall& call) { return Watch(*context, call, *request, *writer); });
}

absl::StatusOr<Job> JobServiceImpl::Command(AdmittedCall& call, Verb verb, const std::string& id,
                                            const std::string& request_id) {
  call.subject = id;
  RETURN_IF_ERROR(CheckRequestId(request_id));
  if (call.principal.role == Role::kSubmitter) {
    ASSIGN_OR_RETURN(const Job job, View(id));
    RETURN_IF_ERROR(CheckOwner(call, job));
  }
  return CallAndView(JobCommand{0, verb, id, call.principal.name, request_id});
}

grpc::Status JobServiceImpl::CancelJob(ServerContext* context, const muster::v1::CancelJobRequest* request,
                                       muster::v1::CancelJobResponse* response) {
  return options_.admission->Serve(*context, "JobService/CancelJob", request, [&](AdmittedCall& call) {
    return Answer(Command(call, Verb::kCancel, request->id(), request->request_id()), *response);
  });
}

grpc::Status JobServiceImpl::PauseJob(ServerContext* context, const muster::v1::PauseJobRequest* request,
                                      muster::v1::PauseJobResponse* response) {
  return options_.admission->Serve(*context, "JobService/PauseJob", request, [&](AdmittedCall& call) {
    return Answer(Command(call, Verb::kPause, request->id(), request->request_id()), *response);
  });
}

grpc::Status JobServiceImpl::ResumeJob(ServerContext* context, const muster::v1::ResumeJobRequest* request,
                                       muster::v1::ResumeJobResponse* response) {
  return options_.admission->Serve(*context, "JobService/ResumeJob", request, [&](AdmittedCall& call) {
    return Answer(Command(call, Verb::kResume, request->id(), request->request_id()), *response);
  });
}

grpc::Status JobServiceImpl::StreamJobLogs(ServerContext* context, const muster::v1::StreamJobLogsRequest* request,
                                           grpc::ServerWriter<muster::v1::StreamJobLogsResponse>* writer) {
  return options_.admission->Serve(*context, "JobService/StreamJobLogs", request,
                                   [&](AdmittedCall& call) { return Logs(*context, call, *request, *writer); });
}

grpc::Status JobServiceImpl::StreamJobMetrics(ServerContext* context,
                                              const muster::v1::StreamJobMetricsRequest* request,
                                              grpc::ServerWriter<muster::v1::StreamJobMetricsResponse>* writer) {
  return options_.admission->Serve(*context, "JobService/StreamJobMetrics", request, [&](AdmittedCall& call) {
    return StreamMetrics(*context, call, *request, *writer);
  });
}

grpc::Status JobServiceImpl::DeleteJob(ServerContext* context, const muster::v1::DeleteJobRequest* request,
                                       muster::v1::DeleteJobResponse*) {
  return options_.admission->Serve(*context, "JobService/DeleteJob", request, [&](AdmittedCall& call) -> absl::Status {
    const std::string& id = request->id();
    call.subject = id;
    RETURN_IF_ERROR(CheckRequestId(request->request_id()));
    if (call.principal.role == Role::kSubmitter) {
      const absl::StatusOr<Job> job = View(id);
      if (job.ok()) RETURN_IF_ERROR(CheckOwner(call, *job));
    }
    RETURN_IF_ERROR(
        options_.backend->Call(muster::DeleteJob{0, id, call.principal.name, request->request_id()}).status());
    return options_.logs->Remove(id);
  });
}

}  // namespace muster
