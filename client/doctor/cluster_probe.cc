#include "client/doctor/cluster_probe.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/doctor/cluster_checks.h"
#include "client/doctor/host_checks.h"
#include "client/doctor/tls_probe.h"
#include "common/clock.h"
#include "common/rpc/certificate_folder.h"
#include "common/rpc/errors.h"
#include "common/rpc/metadata.h"
#include "common/timestamp.h"
#include "muster/v1/cluster.grpc.pb.h"
#include "muster/v1/data.grpc.pb.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

constexpr absl::Duration kProbeWithin = absl::Seconds(5);

void Append(Findings more, Findings& findings) {
  for (Finding& finding : more) findings.push_back(std::move(finding));
}

// One call and its duration.
template <typename Stub, typename Request, typename Response>
absl::Status Ask(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                 Response& response, absl::Duration& round_trip, grpc::ClientContext& context,
                 const Request& request = Request()) {
  context.set_wait_for_ready(false);
  context.set_deadline(absl::ToChronoTime(RealClock().Now() + kProbeWithin));
  const absl::Duration begin = RealClock().Monotonic();
  const absl::Status status = FromGrpc((stub.*method)(&context, request, &response));
  round_trip = RealClock().Monotonic() - begin;
  return status;
}

class Examination {
 public:
  Examination(const Endpoint& endpoint, std::string version) : endpoint_(endpoint), version_(std::move(version)) {}

  Findings Run() {
    OwnCertificate();
    OwnToken();
    const auto channel = MakeChannel(endpoint_.address, endpoint_.security);
    if (!channel.ok()) {
      findings_.push_back({Verdict::kProblem, "certificates", std::string(channel.status().message()),
                           "give --certs a folder made by muster certs issue"});
      return std::move(findings_);
    }
    Coordinator(*channel);
    return std::move(findings_);
  }

 private:
  void OwnCertificate() {
    const SecurityOptions& security = endpoint_.security;
    if (security.insecure) {
      findings_.push_back(
          {Verdict::kWarning, "transport", "no TLS (--insecure)", "use certificates on anything but loopback"});
      return;
    }
    const auto certificate = ReadCertificate(security.certificates, Now());
    if (!certificate.ok()) {
      findings_.push_back({Verdict::kProblem, "your certificate", std::string(certificate.status().message()),
                           "give --certs a folder made by muster certs issue"});
    } else if (certificate->has_value()) {
      Append(
          CheckCertificate("your certificate", **certificate, {"user", "viewer", "submitter", "operator"}, "", Now()),
          findings_);
    }
    struct stat info {};
    const std::filesystem::path key = security.certificates / LayoutOf(security.certificates).key;
    if (stat(key.c_str(), &info) == 0) findings_.push_back(CheckSecretMode(Secret::kPrivateKey, key.string(), info.st_mode));
  }

  // The token's file and its permissions.
  void OwnToken() {
    const std::filesystem::path& file = endpoint_.security.token_file;
    if (file.empty()) return;
    struct stat info {};
    if (stat(file.c_str(), &info) == 0) {
      findings_.push_back(CheckSecretMode(Secret::kToken, file.string(), info.st_mode));
    } else {
      findings_.push_back({Verdict::kProblem, absl::StrCat("token file ", file.string()), std::strerror(errno),
                           "name the file that muster tokens issue --out wrote"});
    }
  }

  // The caller's name and role, as the coordinator sees them. A certificate contains both; a token does not.
  void OwnName(const grpc::ClientContext& context) {
    const auto& metadata = context.GetServerInitialMetadata();
    const auto caller = metadata.find(kCallerMetadata);
    const SecurityOptions& security = endpoint_.security;
    if (caller == metadata.end() || (security.token.empty() && security.token_file.empty())) return;
    findings_.push_back({Verdict::kOk, "your token", std::string(caller->second.data(), caller->second.size()), ""});
  }

  void Coordinator(const std::shared_ptr<grpc::Channel>& channel) {
    const auto stub = muster::v1::ClusterService::NewStub(channel);
    muster::v1::GetClusterResponse cluster;
    absl::Duration round_trip;
    grpc::ClientContext context;
    const absl::Status status = Ask(*stub, &muster::v1::ClusterService::Stub::GetCluster, cluster, round_trip, context);
    Server("coordinator", endpoint_.address, status);
    if (!status.ok()) return;
    OwnName(context);
    if (cluster.has_time()) {
      findings_.push_back(CheckClock("coordinator", FromProto(cluster.time()) - Now(), round_trip));
    }
    findings_.push_back(CheckVersion("coordinator", cluster.version(), version_));
    if (cluster.data_addresses().empty()) {
      findings_.push_back(
          {Verdict::kProblem, "data server", "the coordinator names none", "start it with --data HOST:PORT"});
    }
    for (const std::string& address : cluster.data_addresses()) {
      DataServer(ReachableAddress(address, endpoint_.address));
    }
    muster::v1::ListWorkersResponse workers;
    muster::v1::ListWorkersRequest next;
    absl::Status listed;
    do {
      muster::v1::ListWorkersResponse page;
      grpc::ClientContext worker_context;
      listed = Ask(*stub, &muster::v1::ClusterService::Stub::ListWorkers, page, round_trip, worker_context, next);
      workers.MergeFrom(page);
      next.set_page_token(page.next_page_token());
    } while (!next.page_token().empty());
    if (listed.ok()) {
      Append(CheckWorkers(workers, version_, cluster.has_time() ? FromProto(cluster.time()) : Now()), findings_);
      Jobs(channel, workers);
    } else {
      findings_.push_back({Verdict::kProblem, "workers", std::string(listed.message()),
                           "use a certificate or token with a role that may"});
    }
  }

  void Jobs(const std::shared_ptr<grpc::Channel>& channel, const muster::v1::ListWorkersResponse& workers) {
    const auto stub = muster::v1::JobService::NewStub(channel);
    std::vector<muster::v1::Job> active;
    muster::v1::ListJobsRequest request;
    request.set_active_only(true);
    request.set_page_size(1000);
    do {
      muster::v1::ListJobsResponse page;
      absl::Duration round_trip;
      grpc::ClientContext context;
      const absl::Status status =
          Ask(*stub, &muster::v1::JobService::Stub::ListJobs, page, round_trip, context, request);
      if (!status.ok()) {
        findings_.push_back({Verdict::kProblem, "jobs", std::string(status.message()),
                             "use a certificate or token with a role that may"});
        return;
      }
      for (muster::v1::Job& job : *page.mutable_jobs()) active.push_back(std::move(job));
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    Append(CheckJobs(active, workers), findings_);
  }

  void DataServer(const std::string& address) {
    const auto channel = MakeChannel(address, endpoint_.security);
    if (!channel.ok()) return;  // the same files were already reported for the coordinator
    const auto stub = muster::v1::DataService::NewStub(*channel);
    muster::v1::ListDatasetsResponse datasets;
    absl::Duration round_trip;
    grpc::ClientContext context;
    const absl::Status status = Ask(*stub, &muster::v1::DataService::Stub::ListDatasets, datasets, round_trip, context);
    Server("data server", address, status);
    if (!status.ok()) return;
    if (datasets.has_server_time()) {
      findings_.push_back(CheckClock("data server", FromProto(datasets.server_time()) - Now(), round_trip));
    }
    findings_.push_back(CheckVersion("data server", datasets.server_version(), version_));
  }

  void Server(const std::string& server, const std::string& address, const absl::Status& answer) {
    const TlsFacts tls = ProbeTls(address, endpoint_.security, kProbeWithin);
    findings_.push_back(CheckReach(server, {address, tls.tcp_error, answer.ok() ? "" : tls.handshake_error, answer}));
    if (!tls.server.has_value()) return;
    const std::vector<std::string> roles = {server == "coordinator" ? "coordinator" : "data"};
    Append(CheckCertificate(absl::StrCat("certificate of the ", server), *tls.server, roles, HostOf(address), Now()),
           findings_);
  }

  static absl::Time Now() { return RealClock().Now(); }

  const Endpoint& endpoint_;
  const std::string version_;
  Findings findings_;
};

}  // namespace

Findings ExamineCluster(const Endpoint& endpoint, const std::string& own_version) {
  return Examination(endpoint, own_version).Run();
}

}  // namespace muster
