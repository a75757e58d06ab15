// JobService: parse, check the caller, enqueue, reply. Include in sources only.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/access/admission.h"
#include "coordinator/service/backend.h"
#include "coordinator/service/log_store.h"
#include "coordinator/service/metrics_history.h"
#include "coordinator/service/watch_feed.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {

class JobServiceImpl final : public muster::v1::JobService::Service {
 public:
  // Asks a data server to resolve the names in a specification.
  struct Resolution {
    muster::v1::ResolvedJob resolved;
    std::vector<std::string> notes;  // for the caller
  };
  using Resolver = std::function<absl::StatusOr<Resolution>(const muster::internal::v1::ResolveRequest& request)>;
  // Asks a data server what a job would do.
  using Previewer =
      std::function<absl::StatusOr<muster::v1::TrainingPreview>(const muster::internal::v1::PreviewRequest& request)>;
  struct Options {
    Admission* admission = nullptr;
    Backend* backend = nullptr;
    WatchFeed* feed = nullptr;
    LogStore* logs = nullptr;
    MetricsHistory* history = nullptr;
    Resolver resolve;
    Previewer preview;
    std::function<std::string()> draw_id;  // a new random job id
    uint32_t max_active_jobs = 0;          // of one owner; 0: no limit
    const std::atomic<bool>* stopping = nullptr;
  };
  explicit JobServiceImpl(Options options) : options_(std::move(options)) {}

  grpc::Status SubmitJob(grpc::ServerContext* context, const muster::v1::SubmitJobRequest* request,
                         muster::v1::SubmitJobResponse* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const muster::v1::GetJobRequest* request,
                      muster::v1::GetJobResponse* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const muster::v1::ListJobsRequest* request,
                        muster::v1::ListJobsResponse* response) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const muster::v1::WatchJobRequest* request,
                        grpc::ServerWriter<muster::v1::WatchJobResponse>* writer) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const muster::v1::CancelJobRequest* request,
                         muster::v1::CancelJobResponse* response) override;
  grpc::Status PauseJob(grpc::ServerContext* context, const muster::v1::PauseJobRequest* request,
                        muster::v1::PauseJobResponse* response) override;
  grpc::Status ResumeJob(grpc::ServerContext* context, const muster::v1::ResumeJobRequest* request,
                         muster::v1::ResumeJobResponse* response) override;
  grpc::Status StreamJobMetrics(grpc::ServerContext* context, const muster::v1::StreamJobMetricsRequest* request,
                                grpc::ServerWriter<muster::v1::StreamJobMetricsResponse>* writer) override;
  grpc::Status DeleteJob(grpc::ServerContext* context, const muster::v1::DeleteJobRequest* request,
                         muster::v1::DeleteJobResponse* response) override;
  grpc::Status StreamJobLogs(grpc::ServerContext* context, const muster::v1::StreamJobLogsRequest* request,
                             grpc::ServerWriter<muster::v1::StreamJobLogsResponse>* writer) override;

 private:
  absl::StatusOr<muster::v1::Job> View(const std::string& id);
  // The job after the event, which is durable.
  absl::StatusOr<muster::v1::Job> CallAndView(Event event);
  absl::StatusOr<Resolution> Resolve(const std::string& owner, const muster::v1::JobSpec& given,
                                     const muster::v1::JobSpec& filled);
  // Everything that a submission does before it takes effect, and a preview.
  absl::Status DryRun(const std::string& owner, const muster::v1::SubmitJobRequest& request,
                      muster::v1::SubmitJobResponse& response, std::vector<std::string>& notes);
  absl::StatusOr<muster::v1::Job> SubmitJobFor(const std::string& owner, const muster::v1::SubmitJobRequest& request,
                                               std::vector<std::string>& notes);
  // job_streams.cc
  absl::Status Watch(grpc::ServerContext& context, const AdmittedCall& call, const muster::v1::WatchJobRequest& request,
                     grpc::ServerWriter<muster::v1::WatchJobResponse>& writer);
  absl::Status Logs(grpc::ServerContext& context, const AdmittedCall& call,
                    const muster::v1::StreamJobLogsRequest& request,
                    grpc::ServerWriter<muster::v1::StreamJobLogsResponse>& writer);
  absl::Status StreamMetrics(grpc::ServerContext& context, const AdmittedCall& call,
                             const muster::v1::StreamJobMetricsRequest& request,
                             grpc::ServerWriter<muster::v1::StreamJobMetricsResponse>& writer);
  absl::StatusOr<muster::v1::JobPhase> PhaseOf(const std::string& id);

  absl::StatusOr<muster::v1::Job> Command(AdmittedCall& call, Verb verb, const std::string& id,
                                          const std::string& request_id);

  const Options options_;
};

}  // namespace muster
