#include "tests/soak/client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/rpc/errors.h"
#include "common/rpc/retry.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::JobPhase;
using muster::v1::JobService;

constexpr absl::Duration kDeadline = absl::Seconds(20), kWatch = absl::Seconds(4), kPauseMost = absl::Seconds(2);

bool IsFinal(JobPhase phase) {
  return phase == JobPhase::JOB_PHASE_SUCCEEDED || phase == JobPhase::JOB_PHASE_FAILED ||
         phase == JobPhase::JOB_PHASE_CANCELLED;
}

void SetDeadline(grpc::ClientContext& context, absl::Duration after) {
  context.set_deadline(absl::ToChronoTime(RealClock().Now() + after));
}

}  // namespace

SoakClient::SoakClient(const SoakPlan& plan, std::shared_ptr<grpc::Channel> channel, std::string name, uint64_t seed,
                       Ledger& ledger)
    : plan_(plan),
      channel_(std::move(channel)),
      stub_(JobService::NewStub(channel_)),
      name_(std::move(name)),
      draw_(seed),
      ledger_(ledger) {}

template <typename Request, typename Response>
absl::Status SoakClient::Once(const char* rpc,
                              grpc::Status (JobService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                              const Request& request, Response& response) {
  grpc::ClientContext context;
  SetDeadline(context, kDeadline);
  const absl::Duration start = RealClock().Monotonic();
  const absl::Status status = FromGrpc(((*stub_).*method)(&context, request, &response));
  ledger_.Call(rpc, status, RealClock().Monotonic() - start);
  return status;
}

template <typename Request, typename Response>
absl::Status SoakClient::Patient(const char* rpc,
                                 grpc::Status (JobService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                 const Request& request, Response& response) {
  const absl::Duration start = RealClock().Monotonic();
  while (true) {
    const absl::Status status = Once(rpc, method, request, response);
    const bool again = IsRetryable(status) || absl::IsCancelled(status) || absl::IsResourceExhausted(status);
    if (!again || RealClock().Monotonic() - start > plan_.patience) return status;
    PauseBeforeRetry(*channel_, kPauseMost);
  }
}

void SoakClient::Run(const absl::Notification& stop, const absl::Notification& stop_submitting) {
  const auto pause = [this] {
    const double share = std::uniform_real_distribution<double>(0, 1)(draw_);
    return plan_.least_pause + share * (plan_.most_pause - plan_.least_pause);
  };
  while (!stop.WaitForNotificationWithTimeout(pause())) {
    std::uniform_real_distribution<double> share(0, 1);
    if (share(draw_) < plan_.submit_share && !stop_submitting.HasBeenNotified()) {
      Submit();
      continue;
    }
    const double pick = share(draw_);
    if (pick < 0.05) {
      Resubmit();
    } else if (pick < 0.30) {
      List();
    } else if (pick < 0.45) {
      Watch();
    } else if (pick < 0.57) {
      Cancel();
    } else if (pick < 0.77) {
      Logs();
    } else {
      Get();
    }
  }
}

muster::v1::SubmitJobRequest SoakClient::RequestFor(const Own& own) const {
  muster::v1::SubmitJobRequest request;
  muster::v1::JobSpec& spec = *request.mutable_spec();
  spec.set_name(own.kind);
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_model()->set_tokenizer("soak-vocab");
  spec.mutable_data()->set_train("soak");
  spec.mutable_duration()->set_steps(10);
  spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  request.set_request_id(own.request_id);
  return request;
}

void SoakClient::Submit() {
  const double pick = std::uniform_real_distribution<double>(0, 1)(draw_);
  Own own;
  own.kind = pick < 0.65 ? "succeed" : pick < 0.95 ? "wait" : "crash";
  own.request_id = absl::StrCat(name_, "-", ++submissions_);
  muster::v1::SubmitJobResponse response;
  const absl::Status status = Patient("Submit", &JobService::Stub::SubmitJob, RequestFor(own), response);
  if (!status.ok()) {
    ledger_.Count("submissions without acknowledgment");
    return;
  }
  ledger_.Count("submissions acknowledged");
  if (response.job().owner() != name_) ledger_.Broken(absl::StrCat("job ", response.job().id(), " of ", name_, " has another owner"));
  own_[response.job().id()] = own;
  See(response.job());
}

// The same request id again, perhaps after a restart, gives the same job.
void SoakClient::Resubmit() {
  const std::string id = AnyOwn();
  if (id.empty()) return;
  muster::v1::SubmitJobResponse response;
  if (!Patient("Submit", &JobService::Stub::SubmitJob, RequestFor(own_[id]), response).ok()) return;
  ledger_.Count("submissions repeated");
  if (response.job().id() != id) {
    ledger_.Broken(absl::StrCat("request ", own_[id].request_id, " gave job ", id, " and then ", response.job().id()));
  }
}

void SoakClient::See(const muster::v1::Job& job) {
  const auto found = own_.find(job.id());
  if (found == own_.end()) return;
  Own& own = found->second;
  if (job.revision() < own.revision) {
    ledger_.Broken(absl::StrCat("job ", job.id(), " went back from revision ", own.revision, " to ", job.revision()));
  }
  if (IsFinal(own.phase) && job.phase() != own.phase) {
    ledger_.Broken(absl::StrCat("job ", job.id(), " left phase ", own.phase, " for ", job.phase()));
  }
  own.revision = std::max<uint64_t>(own.revision, job.revision());
  own.phase = job.phase();
}

std::string SoakClient::AnyOwn() {
  if (own_.empty()) return "";
  auto own = own_.begin();
  std::advance(own, std::uniform_int_distribution<size_t>(0, own_.size() - 1)(draw_));
  return own->first;
}

void SoakClient::Get() {
  const std::string id = AnyOwn();
  if (id.empty()) return;
  muster::v1::GetJobRequest request;
  request.set_id(id);
  muster::v1::GetJobResponse response;
  const absl::Status status = Once("Get", &JobService::Stub::GetJob, request, response);
  if (status.ok()) See(response.job());
  if (absl::IsNotFound(status)) ledger_.Broken(absl::StrCat("a lost acknowledgment: job ", id, " is not found"));
}

void SoakClient::List() {
  muster::v1::ListJobsRequest request;
  request.set_active_only(true);
  request.set_page_size(50);
  muster::v1::ListJobsResponse response;
  if (!Once("List", &JobService::Stub::ListJobs, request, response).ok()) return;
  for (const muster::v1::Job& job : response.jobs()) See(job);
}

absl::StatusOr<std::set<std::string>> SoakClient::ListAll() {
  muster::v1::ListJobsRequest request;
  request.set_page_size(1000);
  std::set<std::string> ids;
  do {
    muster::v1::ListJobsResponse response;
    if (absl::Status status = Patient("List", &JobService::Stub::ListJobs, request, response); !status.ok())
      return status;
    for (const muster::v1::Job& job : response.jobs()) ids.insert(job.id());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return ids;
}

void SoakClient::Watch() {
  const std::string id = AnyOwn();
  if (id.empty()) return;
  grpc::ClientContext context;
  SetDeadline(context, kWatch);
  muster::v1::WatchJobRequest request;
  request.set_id(id);
  const absl::Duration start = RealClock().Monotonic();
  const auto stream = stub_->WatchJob(&context, request);
  muster::v1::WatchJobResponse response;
  while (stream->Read(&response)) See(response.job());
  absl::Status status = FromGrpc(stream->Finish());
  if (absl::IsDeadlineExceeded(status)) status = absl::OkStatus();  // enough seen
  ledger_.Call("Watch", status, RealClock().Monotonic() - start);
  if (absl::IsNotFound(status)) ledger_.Broken(absl::StrCat("a lost acknowledgment: job ", id, " cannot be watched"));
}

void SoakClient::CancelJob(const std::string& id, Own& own) {
  muster::v1::CancelJobRequest request;
  request.set_id(id);
  request.set_request_id(absl::StrCat("cancel-", own.request_id));
  muster::v1::CancelJobResponse response;
  const absl::Status status = Patient("Cancel", &JobService::Stub::CancelJob, request, response);
  if (status.ok()) {
    ledger_.Count("cancels acknowledged");
    own.cancelled = true;
    if (response.job().phase() != JobPhase::JOB_PHASE_CANCELLED) {
      ledger_.Broken(absl::StrCat("job ", id, " was cancelled, and is in phase ", response.job().phase()));
    }
    See(response.job());
  } else if (absl::IsNotFound(status)) {
    ledger_.Broken(absl::StrCat("a lost acknowledgment: job ", id, " cannot be cancelled"));
  }
}

void SoakClient::Cancel() {
  for (auto& [id, own] : own_) {
    if (own.kind != "wait" || own.cancelled || IsFinal(own.phase)) continue;
    CancelJob(id, own);
    return;
  }
}

void SoakClient::Logs() {
  const std::string id = AnyOwn();
  if (id.empty()) return;
  grpc::ClientContext context;
  SetDeadline(context, kWatch);
  muster::v1::StreamJobLogsRequest request;
  request.set_id(id);
  request.set_follow(std::uniform_int_distribution<int>(0, 3)(draw_) == 0);
  const absl::Duration start = RealClock().Monotonic();
  const auto stream = stub_->StreamJobLogs(&context, request);
  muster::v1::StreamJobLogsResponse response;
  while (stream->Read(&response)) ledger_.Count("log bytes", response.text().size());
  absl::Status status = FromGrpc(stream->Finish());
  if (request.follow() && absl::IsDeadlineExceeded(status)) status = absl::OkStatus();
  ledger_.Call("Logs", status, RealClock().Monotonic() - start);
  if (absl::IsNotFound(status)) ledger_.Broken(absl::StrCat("a lost acknowledgment: job ", id, " has no logs"));
}

void SoakClient::Settle(absl::Duration within) {
  const absl::Duration deadline = RealClock().Monotonic() + within;
  for (auto& [id, own] : own_) {
    if (own.kind == "wait" && !own.cancelled && !IsFinal(own.phase)) CancelJob(id, own);
  }
  for (auto& [id, own] : own_) {
    while (!IsFinal(own.phase)) {
      const absl::Duration left = deadline - RealClock().Monotonic();
      if (left <= absl::ZeroDuration()) {
        ledger_.Broken(absl::StrCat("job ", id, " (", own.kind, ") has not ended: phase ", own.phase));
        break;
      }
      grpc::ClientContext context;
      SetDeadline(context, left);
      muster::v1::WatchJobRequest request;
      request.set_id(id);
      const auto stream = stub_->WatchJob(&context, request);
      muster::v1::WatchJobResponse response;
      while (stream->Read(&response)) See(response.job());
      if (FromGrpc(stream->Finish()).ok()) continue;
      PauseBeforeRetry(*channel_, absl::Milliseconds(500));
    }
  }
}

void SoakClient::Verify(const std::set<std::string>& listed) {
  for (const auto& [id, own] : own_) {
    if (!listed.contains(id)) ledger_.Broken(absl::StrCat("a lost acknowledgment: job ", id, " is not listed"));
    if (own.cancelled && own.phase != JobPhase::JOB_PHASE_CANCELLED) {
      ledger_.Broken(absl::StrCat("job ", id, " was cancelled, and ended in phase ", own.phase));
    }
    ledger_.Count(absl::StrCat(own.kind, ": ", muster::v1::JobPhase_Name(own.phase)));
    if (own.kind == "succeed" && own.phase == JobPhase::JOB_PHASE_CANCELLED) {
      ledger_.Broken(absl::StrCat("job ", id, " was cancelled by nobody"));
    }
  }
}

}  // namespace muster
