#include "coordinator/runtime/coordinator.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/metrics.h"
#include "common/random_id.h"
#include "common/rpc/access/call_metrics.h"
#include "common/rpc/access/ticket.h"
#include "common/rpc/certificate_expiry.h"
#include "common/rpc/certificate_watch.h"
#include "common/rpc/errors.h"
#include "common/rpc/health.h"
#include "common/rpc/metadata.h"
#include "common/rpc/operation_service.h"
#include "common/status.h"
#include "coordinator/runtime/backup_source.h"
#include "coordinator/runtime/blob_collector.h"
#include "coordinator/runtime/data_server_probe.h"
#include "coordinator/runtime/event_loop.h"
#include "coordinator/runtime/janitor.h"
#include "coordinator/runtime/metrics.h"
#include "coordinator/service/cluster_service.h"
#include "coordinator/service/job_service.h"
#include "coordinator/service/worker_service.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"

namespace muster {
namespace {

constexpr absl::Duration kResolveWithin = absl::Seconds(20);
constexpr absl::Duration kGaugesWithin = absl::Seconds(2);  // of a scrape

absl::Status ExplainSilence(const absl::Status& status, const std::string& address) {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
  return absl::UnavailableError(absl::StrCat("the data server ", address, " does not answer. Is muster-data running? (",
                                             std::string(status.message()), ")"));
}

absl::StatusOr<JobServiceImpl::Resolution> ResolveAt(const std::shared_ptr<grpc::Channel>& server,
                                                     const std::string& address,
                                                     const muster::internal::v1::ResolveRequest& request) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);  // see common/rpc/retry.h
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kResolveWithin));
  muster::internal::v1::ResolveResponse response;
  const absl::Status status =
      FromGrpc(muster::internal::v1::DataPlaneService::NewStub(server)->Resolve(&context, request, &response));
  if (!status.ok()) return ExplainSilence(status, address);
  return JobServiceImpl::Resolution{response.resolved(), NotesOf(context)};
}

absl::StatusOr<muster::v1::TrainingPreview> PreviewAt(const std::shared_ptr<grpc::Channel>& server,
                                                      const std::string& address,
                                                      const muster::internal::v1::PreviewRequest& request) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kResolveWithin));
  muster::internal::v1::PreviewResponse response;
  const absl::Status status =
      FromGrpc(muster::internal::v1::DataPlaneService::NewStub(server)->Preview(&context, request, &response));
  if (absl::IsUnimplemented(status)) {
    return absl::UnimplementedError(
        absl::StrCat("the data server ", address, " has an older version, which cannot preview jobs. Upgrade it."));
  }
  if (!status.ok()) return ExplainSilence(status, address);
  return response.preview();
}

// Datasets and models are stored only on the server that received them. With a second server, half of the ranks would find
// nothing.
absl::Status CheckDataAddress(const std::string& address) {
  if (address.empty()) return absl::InvalidArgumentError("--data: name the data server, as HOST:PORT");
  if (!absl::StrContains(address, ',') && !absl::StrContains(address, ' ')) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--data ", address, ": names several data servers. Datasets exist only on the server where they were imported, and "
      "servers do not share them. Name one server."));
}

}  // namespace

struct Coordinator::Parts {
  std::atomic<bool> stopping = false;
  std::unique_ptr<CoordinatorMetrics> metrics;
  std::unique_ptr<CallMetrics> calls;
  std::unique_ptr<Admission> admission;
  Sessions sessions;
  RendezvousStore rendezvous;
  WatchFeed feed;
  std::unique_ptr<HealthServer> health;
  std::unique_ptr<LogStore> logs;
  std::unique_ptr<MetricsHistory> history;
  std::unique_ptr<BlobCollector> collector;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<DataServerProbe> probe;
  Operations operations{RealClock()};
  std::unique_ptr<Janitor> janitor;
  std::unique_ptr<JobServiceImpl> jobs;
  std::unique_ptr<ClusterServiceImpl> cluster;
  std::unique_ptr<WorkerServiceImpl> workers;
  std::unique_ptr<grpc::Service> backup, operation_service;
  std::unique_ptr<MetricsServer> metrics_server;
  std::unique_ptr<RpcServer> server;
};

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(const Options& options) {
  RETURN_IF_ERROR(CheckDataAddress(options.data_address));
  auto parts = std::make_unique<Parts>();
  // Before everything else, so that a long replay counts as starting and not as a failure.
  ASSIGN_OR_RETURN(parts->health, HealthServer::Start({.address = options.health, .clock = options.clock}));
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> data_server, MakeChannel(options.data_address, options.security));
  const std::vector<std::shared_ptr<grpc::Channel>> channels = {data_server};
  parts->metrics = std::make_unique<CoordinatorMetrics>(MUSTER_VERSION, options.state);
  // Below the limit the coordinator also refuses new work: the remaining space is for the journal.
  const HasRoom has_room = RoomIn(options.state, options.min_free_bytes);
  parts->logs = std::make_unique<LogStore>(options.state / "logs", LogStore::kMaxFile, has_room);
  parts->history = std::make_unique<MetricsHistory>(options.state / "logs", MetricsHistory::kMaxPoints, has_room);
  parts->collector = std::make_unique<BlobCollector>(channels);

  EventLoop::Options loop;
  loop.store.folder = options.state;
  loop.sessions = &parts->sessions;
  loop.rendezvous = &parts->rendezvous;
  loop.feed = &parts->feed;
  loop.history = parts->history.get();
  loop.metrics = parts->metrics.get();
  loop.collect = [collector = parts->collector.get()](const std::string& manifest) { collector->Collect(manifest); };
  loop.on_turn = [health = parts->health.get()] { health->Beat(); };
  if (options.security.insecure) {
    loop.sign = [](muster::internal::v1::DesiredState&, const std::string&) {};  // no key, and no tickets are required
  } else {
    ASSIGN_OR_RETURN(CertificateWatch* const watch, CertificateWatch::Of(options.security.certificates));
    loop.sign = [watch, book = std::make_shared<TicketBook>(), clock = options.clock](
                    muster::internal::v1::DesiredState& desired, const std::string& worker) {
      const absl::Status status = book->Fill(desired, worker, watch->current(), clock->Now());
      if (!status.ok()) spdlog::error("assignments of worker {}: {}", worker, std::string(status.message()));
    };
  }
  loop.data_address = options.data_address;
  loop.no_progress = options.no_progress;
  loop.min_free_bytes = options.min_free_bytes;
  loop.tick = options.tick;
  loop.clock = options.clock;
  ASSIGN_OR_RETURN(parts->loop, EventLoop::Start(std::move(loop)));
  parts->probe = std::make_unique<DataServerProbe>(DataServerProbe::Options{
      .backend = parts->loop.get(), .channel = data_server, .address = options.data_address});
  parts->collector->Start(parts->loop.get());
  parts->janitor = std::make_unique<Janitor>(Janitor::Options{parts->loop.get(), &parts->operations, channels, parts->logs.get(),
                                                              options.collect_every, options.collect_unused,
                                                              options.keep_ended_jobs});
  parts->janitor->Start();

  RETURN_IF_ERROR(PublishCertificateExpiry(options.security.certificates, parts->metrics->registry()));
  parts->calls = std::make_unique<CallMetrics>(parts->metrics->registry());
  ASSIGN_OR_RETURN(parts->admission, Admission::Create({.tokens = options.tokens,
                                                        .audit = options.state / "audit",
                                                        .audit_room = has_room,
                                                        .limits = options.limits,
                                                        .observer = parts->calls.get(),
                                                        .clock = options.clock}));
  JobServiceImpl::Options jobs;
  jobs.admission = parts->admission.get();
  jobs.backend = parts->loop.get();
  jobs.feed = &parts->feed;
  jobs.logs = parts->logs.get();
  jobs.history = parts->history.get();
  jobs.resolve = [data_server, address = options.data_address](const muster::internal::v1::ResolveRequest& request) {
    return ResolveAt(data_server, address, request);
  };
  jobs.preview = [data_server, address = options.data_address](const muster::internal::v1::PreviewRequest& request) {
    return PreviewAt(data_server, address, request);
  };
  jobs.draw_id = RandomId;
  jobs.max_active_jobs = options.max_active_jobs;
  jobs.stopping = &parts->stopping;
  parts->jobs = std::make_unique<JobServiceImpl>(std::move(jobs));
  parts->cluster =
      std::make_unique<ClusterServiceImpl>(parts->admission.get(), parts->loop.get(), MUSTER_VERSION,
                                           options.data_address, [janitor = parts->janitor.get()](const auto& request, const auto& user) {
                                             return janitor->Collect(request, user);
                                           });
  parts->workers = std::make_unique<WorkerServiceImpl>(
      WorkerServiceImpl::Options{parts->admission.get(), parts->loop.get(), &parts->sessions, &parts->rendezvous, parts->logs.get()});

  ASSIGN_OR_RETURN(BackupSource backup, OpenCoordinatorBackup(options.state, MUSTER_VERSION));
  parts->backup = MakeBackupService(std::move(backup), *parts->admission);
  parts->operation_service = MakeOperationService(parts->operations, *parts->admission);

  std::unique_ptr<Coordinator> coordinator(new Coordinator(std::move(parts)));
  Parts& p = *coordinator->parts_;
  ASSIGN_OR_RETURN(p.metrics_server, MetricsServer::Start(options.metrics, p.metrics->WithGauges([loop = p.loop.get()] {
    return loop->TakeGauges(kGaugesWithin);
  })));
  ASSIGN_OR_RETURN(p.server, RpcServer::Start({.address = options.listen,
                                               .security = options.security,
                                               .services = {p.jobs.get(), p.cluster.get(), p.workers.get(),
                                                            p.backup.get(), p.operation_service.get()},
                                               .measures_bandwidth = false}));
  p.health->SetReady(true, "the state is replayed, and the services listen");
  return coordinator;
}

Coordinator::Coordinator(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Coordinator::~Coordinator() { Shutdown(); }

int Coordinator::port() const { return parts_->server->port(); }
int Coordinator::metrics_port() const { return parts_->metrics_server->port(); }
int Coordinator::health_port() const { return parts_->health->port(); }

void Coordinator::Shutdown(absl::Duration grace) {
  if (parts_->stopping.exchange(true)) return;
  parts_->health->SetReady(false, "the coordinator is shutting down");
  if (parts_->server != nullptr) parts_->server->SetServing(false);
  parts_->loop->RefuseChanges();
  parts_->feed.Stop();
  parts_->logs->Stop();
  parts_->history->Stop();
  parts_->sessions.CloseAll();
  parts_->rendezvous.CloseAll();
  if (parts_->server != nullptr) parts_->server->Shutdown(grace);
  parts_->probe->Stop();
  parts_->loop->Stop();
  parts_->janitor->Stop();
  parts_->collector->Stop();
}

}  // namespace muster
