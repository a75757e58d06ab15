#include "coordinator/runtime/testing/fake_cluster.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/certificates.h"
#include "common/rpc/metadata.h"
#include "common/status.h"
#include "common/version.h"

namespace muster {

using muster::internal::v1::AgentMessage;
using muster::internal::v1::CoordinatorMessage;

constexpr absl::Duration kWithin = absl::Seconds(10);

grpc::Status FakeData::Resolve(grpc::ServerContext* context, const muster::internal::v1::ResolveRequest* request,
                               muster::internal::v1::ResolveResponse* response) {
  if (PrincipalOf(*context).role != Role::kCoordinator) return {grpc::StatusCode::PERMISSION_DENIED, "who are you?"};
  if (request->spec().data().train() == "absent") return {grpc::StatusCode::NOT_FOUND, "there is no dataset \"absent\""};
  if (request->spec().data().train() == "noted") AddNotes({"the first note", "\xC3\xA9"}, *context);
  last_job_model_manifest = request->job_model_manifest();
  if (request->has_model_checkpoint() && knows_checkpoints) {
    *response->mutable_resolved()->mutable_model_checkpoint() = request->model_checkpoint();
  }
  response->mutable_resolved()->set_tokenizer_manifest(std::string(64, 'b'));
  response->mutable_resolved()->set_train_dataset(std::string(64, 'a'));
  response->mutable_resolved()->set_total_steps(60);
  return grpc::Status::OK;
}

grpc::Status FakeData::Preview(grpc::ServerContext* context, const muster::internal::v1::PreviewRequest* request,
                               muster::internal::v1::PreviewResponse* response) {
  if (PrincipalOf(*context).role != Role::kCoordinator) return {grpc::StatusCode::PERMISSION_DENIED, "who are you?"};
  response->mutable_preview()->set_total_steps(request->resolved().total_steps());
  response->mutable_preview()->set_tokens_per_step(1000);
  return grpc::Status::OK;
}

grpc::Status FakeData::Blobs::GetBlob(grpc::ServerContext*, const muster::v1::GetBlobRequest* request,
                                      grpc::ServerWriter<muster::v1::GetBlobResponse>* writer) {
  muster::v1::GetBlobResponse response;
  {
    absl::MutexLock lock(&mutex_);
    if (refused_.contains(request->digest())) return {grpc::StatusCode::INTERNAL, "the disk does not answer"};
    const auto found = blobs_.find(request->digest());
    if (found == blobs_.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
    response.set_size(found->second.size());
    response.set_chunk(found->second.substr(request->offset()));
  }
  writer->Write(response);
  return grpc::Status::OK;
}

grpc::Status FakeData::Sweep(grpc::ServerContext* context, grpc::ServerReader<muster::internal::v1::SweepRequest>* reader,
                             muster::internal::v1::SweepResponse*) {
  for (muster::internal::v1::SweepRequest request; reader->Read(&request);) continue;
  AddNotes({"a manifest can never be read"}, *context);
  return grpc::Status::OK;
}

grpc::Status FakeData::DeleteBlobs(grpc::ServerContext*, const muster::internal::v1::DeleteBlobsRequest* request,
                                   muster::internal::v1::DeleteBlobsResponse*) {
  blobs.Delete(request->digests());
  return grpc::Status::OK;
}

void FakeData::Blobs::Delete(const google::protobuf::RepeatedPtrField<std::string>& digests) {
  absl::MutexLock lock(&mutex_);
  for (const std::string& digest : digests) blobs_.erase(digest);
}

std::string FakeData::Blobs::Put(const std::string& bytes) {
  absl::MutexLock lock(&mutex_);
  const std::string digest = Sha256Hex(bytes);
  blobs_[digest] = bytes;
  return digest;
}

bool FakeData::Blobs::Has(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  return blobs_.contains(digest);
}

void FakeData::Blobs::Refuse(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  refused_.insert(digest);
}

bool FakeData::Blobs::WaitUntilGone(const std::string& digest, absl::Duration wait) {
  const auto gone = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !blobs_.contains(digest); };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&gone), wait);
}

FakeAgent::FakeAgent(std::shared_ptr<grpc::Channel> channel, const std::string& name, uint32_t slots,
                     const std::string& instance)
    : stub_(muster::internal::v1::WorkerService::NewStub(std::move(channel))) {
  context_.set_wait_for_ready(true);
  stream_ = stub_->Session(&context_);
  AgentMessage hello;
  hello.mutable_hello()->set_worker(name);
  hello.mutable_hello()->set_host(name);
  hello.mutable_hello()->set_device("cpu");
  hello.mutable_hello()->set_slots(slots);
  hello.mutable_hello()->set_cores(slots);
  hello.mutable_hello()->set_instance(instance);
  hello.mutable_hello()->set_protocol(kProtocol);
  stream_->Write(hello);
  reader_ = std::thread([this] {
    CoordinatorMessage message;
    while (stream_->Read(&message)) {
      absl::MutexLock lock(&mutex_);
      if (message.has_welcome()) epoch_ = message.welcome().epoch();
      if (message.has_ack()) acked_ = message.ack().sequence();
      if (message.has_desired()) {
        desired_ = message.desired();
        told_ = true;
      }
    }
  });
}

FakeAgent::~FakeAgent() { Finish(); }

grpc::Status FakeAgent::Finish() {
  if (finished_) return grpc::Status::OK;
  finished_ = true;
  stream_->WritesDone();
  reader_.join();
  return stream_->Finish();
}

bool FakeAgent::WaitForDesired(const std::function<bool(const muster::internal::v1::DesiredState&)>& fits) {
  const auto ready = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return told_ && fits(desired_); };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&ready), kWithin);
}

bool FakeAgent::WaitForAck(uint64_t sequence) {
  const auto ready = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return acked_ >= sequence; };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&ready), kWithin);
}

bool FakeAgent::WaitForAssignment(const std::string& job, muster::internal::v1::AssignmentPhase phase,
                                  uint32_t attempt) {
  return WaitForDesired([&](const muster::internal::v1::DesiredState& desired) {
    for (const muster::internal::v1::Assignment& assignment : desired.assignments()) {
      if (assignment.job_id() == job && assignment.phase() == phase && assignment.attempt() == attempt) return true;
    }
    return false;
  });
}

bool FakeAgent::WaitForNothing() {
  return WaitForDesired(
      [](const muster::internal::v1::DesiredState& desired) { return desired.assignments().empty(); });
}

uint64_t FakeAgent::epoch() {
  absl::MutexLock lock(&mutex_);
  return epoch_;
}

uint64_t FakeAgent::Send(muster::internal::v1::Report report) {
  report.set_sequence(++sequence_);
  AgentMessage message;
  *message.mutable_report() = std::move(report);
  Send(std::move(message));
  return sequence_;
}

void FakeAgent::Send(AgentMessage message) { stream_->Write(message); }

bool FakeAgent::Begin(const std::string& job, const std::vector<uint32_t>& ranks, uint32_t attempt) {
  if (!WaitForAssignment(job, muster::internal::v1::ASSIGNMENT_PHASE_PREPARE, attempt)) return false;
  muster::internal::v1::Report report;
  report.set_job_id(job);
  report.set_attempt(attempt);
  report.mutable_prepared();
  Send(report);
  if (!WaitForAssignment(job, muster::internal::v1::ASSIGNMENT_PHASE_RUN, attempt)) return false;
  uint64_t last = 0;
  for (const uint32_t rank : ranks) {
    report.mutable_rank_started()->set_rank(rank);
    last = Send(report);
  }
  return WaitForAck(last);
}

uint64_t FakeAgent::Exit(const std::string& job, uint32_t attempt, uint32_t rank, muster::internal::v1::ExitCause cause,
                         const std::string& message) {
  muster::internal::v1::Report report;
  report.set_job_id(job);
  report.set_attempt(attempt);
  report.mutable_rank_exited()->set_rank(rank);
  report.mutable_rank_exited()->set_cause(cause);
  report.mutable_rank_exited()->set_message(message);
  return Send(report);
}

absl::StatusOr<std::unique_ptr<FakeCluster>> FakeCluster::Start() {
  auto cluster = std::make_unique<FakeCluster>();
  ASSIGN_OR_RETURN(cluster->folder_, MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-coordinator"));
  RETURN_IF_ERROR(MakeAuthority(cluster->folder_ / "authority"));
  for (const Role role : {Role::kCoordinator, Role::kData}) {
    CertificateRequest request;
    request.role = role;
    request.name = std::string(RoleName(role));
    RETURN_IF_ERROR(IssueCertificate(cluster->folder_ / "authority", request, cluster->folder_ / request.name));
  }
  RpcServer::Options options;
  options.address = "127.0.0.1:0";
  options.security.certificates = cluster->folder_ / "data";
  options.services = {&cluster->data_, &cluster->data_.blobs, &cluster->data_.models};
  ASSIGN_OR_RETURN(cluster->data_server_, RpcServer::Start(options));
  return cluster;
}

FakeCluster::~FakeCluster() {
  coordinator_.reset();
  data_server_.reset();
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

absl::Status FakeCluster::StartCoordinator() {
  Coordinator::Options options;
  options.listen = "127.0.0.1:0";
  options.metrics = "127.0.0.1:0";
  options.state = folder_ / "state";
  options.security.certificates = folder_ / "coordinator";
  options.data_address = absl::StrCat("127.0.0.1:", data_server_->port());
  options.min_free_bytes = min_free_bytes;
  options.tokens = tokens;
  options.limits = limits;
  options.max_active_jobs = max_active_jobs;
  options.tick = absl::Milliseconds(50);
  ASSIGN_OR_RETURN(coordinator_, Coordinator::Start(options));
  return absl::OkStatus();
}

std::shared_ptr<grpc::Channel> FakeCluster::ChannelAs(Role role, const std::string& name) {
  CertificateRequest request;
  request.role = role;
  request.name = name;
  const std::filesystem::path target = folder_ / absl::StrCat(static_cast<int>(role), "-", name);
  if (!IssueCertificate(folder_ / "authority", request, target).ok()) return nullptr;
  SecurityOptions security;
  security.certificates = target;
  return *MakeChannel(absl::StrCat("127.0.0.1:", coordinator_->port()), security);
}

std::unique_ptr<muster::v1::JobService::Stub> FakeCluster::Jobs() {
  return muster::v1::JobService::NewStub(ChannelAs(Role::kOperator, "ada"));
}

muster::v1::JobSpec SmallJob(uint32_t slots) {
  muster::v1::JobSpec spec;
  spec.set_name("small");
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_model()->set_tokenizer("words");
  spec.mutable_data()->set_train("facts");
  spec.mutable_duration()->set_steps(60);
  spec.mutable_resources()->mutable_slots()->set_min(slots);
  return spec;
}

}  // namespace muster
