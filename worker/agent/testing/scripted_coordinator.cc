#include "worker/agent/testing/scripted_coordinator.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr uint64_t kEpoch = 1;

}  // namespace

absl::Status ScriptedCoordinator::Start(int port) {
  RpcServer::Options options;
  options.address = absl::StrCat("127.0.0.1:", port);
  options.security = security_;
  options.services = {this};
  ASSIGN_OR_RETURN(server_, RpcServer::Start(options));
  port_ = server_->port();
  return absl::OkStatus();
}

void ScriptedCoordinator::Stop() {
  if (server_ != nullptr) server_->Shutdown(absl::ZeroDuration());
  server_.reset();
}

std::string ScriptedCoordinator::address() const { return absl::StrCat("127.0.0.1:", port_); }

void ScriptedCoordinator::SetAcknowledging(bool on) {
  absl::MutexLock lock(&mutex_);
  acknowledging_ = on;
}

void ScriptedCoordinator::Desire(const std::vector<muster::internal::v1::Assignment>& assignments) {
  absl::MutexLock lock(&mutex_);
  desired_.set_epoch(kEpoch);
  desired_.mutable_assignments()->Assign(assignments.begin(), assignments.end());
  if (stream_ != nullptr) SendDesired(stream_);
}

void ScriptedCoordinator::SendDesired(Stream* stream) {
  muster::internal::v1::CoordinatorMessage message;
  *message.mutable_desired() = desired_;
  stream->Write(message);
}

grpc::Status ScriptedCoordinator::Session(grpc::ServerContext*, Stream* stream) {
  muster::internal::v1::AgentMessage message;
  while (stream->Read(&message)) {
    absl::MutexLock lock(&mutex_);
    heard_.push_back(message);
    if (message.has_hello()) {
      muster::internal::v1::CoordinatorMessage welcome;
      welcome.mutable_welcome()->set_epoch(kEpoch);
      welcome.mutable_welcome()->set_heartbeat_milliseconds(50);
      welcome.mutable_welcome()->add_data_addresses("127.0.0.1:1");
      stream->Write(welcome);
      SendDesired(stream);
      stream_ = stream;
    } else if (message.has_report() && acknowledging_) {
      muster::internal::v1::CoordinatorMessage ack;
      ack.mutable_ack()->set_sequence(message.report().sequence());
      stream->Write(ack);
    }
  }
  absl::MutexLock lock(&mutex_);
  if (stream_ == stream) stream_ = nullptr;
  return grpc::Status::OK;
}

muster::internal::v1::AgentMessage ScriptedCoordinator::WaitFor(const std::string& what, const Matches& matches) {
  muster::internal::v1::AgentMessage found;
  const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (; next_ < heard_.size(); ++next_) {
      if (matches(heard_[next_])) return true;
    }
    return false;
  };
  absl::MutexLock lock(&mutex_);
  if (mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience)) {
    found = heard_[next_++];
  } else {
    ADD_FAILURE() << "not heard within " << kPatience << ": " << what;
  }
  return found;
}

muster::internal::v1::Report ScriptedCoordinator::WaitForReport(muster::internal::v1::Report::EventCase event) {
  return WaitFor(absl::StrCat("report ", static_cast<int>(event)),
                 [event](const muster::internal::v1::AgentMessage& message) {
                   return message.report().event_case() == event;
                 })
      .report();
}

std::vector<muster::internal::v1::AgentMessage> ScriptedCoordinator::Heard() {
  absl::MutexLock lock(&mutex_);
  return heard_;
}

}  // namespace muster
