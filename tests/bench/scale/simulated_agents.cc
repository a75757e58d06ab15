#include "tests/bench/scale/simulated_agents.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/random.h"
#include "common/version.h"
#include "muster/internal/v1/worker.grpc.pb.h"

namespace muster::bench {

using muster::internal::v1::AgentMessage;
using muster::internal::v1::CoordinatorMessage;

namespace {

constexpr absl::Duration kHeartbeatEvery = absl::Seconds(3), kWelcomeTimeout = absl::Seconds(15);
constexpr absl::Duration kMinBackoff = absl::Milliseconds(200), kMaxBackoff = absl::Seconds(5);

absl::Duration Now() { return RealClock().Monotonic(); }

}  // namespace

// One session. gRPC calls the reactor's methods on its own threads, one at a time per direction.
class SimulatedSession final : public grpc::ClientBidiReactor<AgentMessage, CoordinatorMessage> {
 public:
  using Handler = std::function<void(const CoordinatorMessage&)>;
  SimulatedSession(const std::shared_ptr<grpc::Channel>& channel, Handler handler)
      : handler_(std::move(handler)), stub_(muster::internal::v1::WorkerService::NewStub(channel)) {
    stub_->async()->Session(&context_, this);
    AddHold();  // Send starts writes from outside of the reactor
    StartRead(&incoming_);
    StartCall();
  }
  void Send(AgentMessage message) {
    absl::MutexLock lock(&mutex_);
    if (closing_) return;
    outgoing_.push_back(std::move(message));
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
  }
  bool ended() {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }
  void Cancel() { context_.TryCancel(); }
  void WaitUntilEnded() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ended_));
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      absl::MutexLock lock(&mutex_);
      closing_ = true;  // before the hold is gone: no write may begin after it
      RemoveHold();
      return;
    }
    handler_(incoming_);
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    outgoing_.pop_front();
    if (ok && !outgoing_.empty()) StartWrite(&outgoing_.front());
  }
  void OnDone(const grpc::Status&) override {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }

 private:
  const Handler handler_;
  grpc::ClientContext context_;
  std::unique_ptr<muster::internal::v1::WorkerService::Stub> stub_;
  CoordinatorMessage incoming_;
  absl::Mutex mutex_;
  std::deque<AgentMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false, ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class SimulatedAgent {
 public:
  SimulatedAgent(uint32_t number, SimulatedFleet& fleet) : number_(number), fleet_(fleet) {
    heartbeat_at_ = Now() + absl::Milliseconds(3 * (number % 1000));
  }
  ~SimulatedAgent() { Disconnect(); }

  void Disconnect() {
    if (session_ == nullptr) return;
    session_->Cancel();
    session_->WaitUntilEnded();
    session_ = nullptr;
  }

  // Called by the fleet's thread, every few milliseconds.
  void Turn(const std::string& address, absl::Duration now) {
    if (silent_) return;
    if (session_ != nullptr && (session_->ended() || (!Welcomed() && now > welcome_by_))) {
      Disconnect();
      const double spread = 0.5 + static_cast<double>(MixKey(number_, ++tries_) % 1000) / 1000;
      open_at_ = now + backoff_ * spread;
      backoff_ = std::min(backoff_ * 2, kMaxBackoff);
    }
    if (session_ == nullptr) {
      if (!address.empty() && now >= open_at_) Connect(address, now);
      return;
    }
    if (!Welcomed()) return;
    backoff_ = kMinBackoff;
    if (now >= heartbeat_at_) {
      heartbeat_at_ = now + kHeartbeatEvery;
      AgentMessage message;
      AddObserved(*message.mutable_heartbeat());
      session_->Send(std::move(message));
    }
    if (now >= progress_at_) {
      progress_at_ = now + fleet_.options_.progress_every;
      SendProgress();
    }
  }
  void FallSilent() {
    absl::MutexLock lock(&mutex_);
    silent_ = true;
  }

 private:
  struct Attempt {
    muster::internal::v1::Assignment assignment;
    bool prepared = false, running = false;
    uint64_t step = 0;
  };

  bool Welcomed() {
    absl::MutexLock lock(&mutex_);
    return welcomed_;
  }

  void Connect(const std::string& address, absl::Duration now) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a separate connection
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    {
      absl::MutexLock lock(&mutex_);
      welcomed_ = false;
    }
    session_ = std::make_unique<SimulatedSession>(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments),
        [this](const CoordinatorMessage& message) { Take(message); });
    AgentMessage message;
    auto& hello = *message.mutable_hello();
    hello.set_worker(absl::StrCat("w", number_));
    hello.set_host(hello.worker());
    hello.set_device("cpu");
    hello.set_slots(fleet_.options_.slots);
    hello.set_cores(fleet_.options_.slots);
    hello.set_instance("one");
    hello.set_protocol(kProtocol);
    AddObserved(hello);
    session_->Send(std::move(message));
    welcome_by_ = now + kWelcomeTimeout;
  }

  template <typename Message>
  void AddObserved(Message& message) {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, attempt] : attempts_) {
      if (!attempt.running) continue;
      auto& observed = *message.add_attempts();
      observed.set_job_id(key.first);
      observed.set_attempt(key.second);
      for (const auto& rank : attempt.assignment.ranks()) observed.add_running_ranks(rank.rank());
    }
  }

  void SendProgress() {
    absl::MutexLock lock(&mutex_);
    for (auto& [key, attempt] : attempts_) {
      if (!attempt.running || attempt.assignment.ranks(0).rank() != 0) continue;
      AgentMessage message;
      auto& report = *message.mutable_progress();
      report.set_job_id(key.first);
      report.set_attempt(key.second);
      report.mutable_progress()->set_step(++attempt.step);
      report.mutable_progress()->set_activity("training");
      session_->Send(std::move(message));
    }
  }

  void Take(const CoordinatorMessage& message) {
    absl::MutexLock lock(&mutex_);
    if (silent_) return;
    if (message.has_welcome()) {
      welcomed_ = true;
      for (const auto& [sequence, report] : reports_) SendReport(report);
      absl::MutexLock fleet(&fleet_.mutex_);
      fleet_.welcomed_.insert(number_);
    } else if (message.has_ack()) {
      reports_.erase(reports_.begin(), reports_.upper_bound(message.ack().sequence()));
    } else if (message.has_desired()) {
      Obey(message.desired());
    }
  }

  void Obey(const muster::internal::v1::DesiredState& desired) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::map<std::pair<std::string, uint32_t>, Attempt> left;
    std::swap(left, attempts_);
    for (const muster::internal::v1::Assignment& assignment : desired.assignments()) {
      const std::pair<std::string, uint32_t> key = {assignment.job_id(), assignment.attempt()};
      Attempt attempt = left.contains(key) ? left[key] : Attempt{};
      left.erase(key);
      attempt.assignment = assignment;
      if (!attempt.prepared) {
        attempt.prepared = true;
        NewReport(key)->mutable_prepared();
        SendReport(reports_.rbegin()->second);
      }
      if (assignment.phase() == muster::internal::v1::ASSIGNMENT_PHASE_RUN && !attempt.running) {
        attempt.running = true;
        for (const auto& rank : assignment.ranks()) {
          NewReport(key)->mutable_rank_started()->set_rank(rank.rank());
          SendReport(reports_.rbegin()->second);
        }
        absl::MutexLock fleet(&fleet_.mutex_);
        fleet_.attempts_[key].workers.insert(number_);
      }
      attempts_[key] = std::move(attempt);
    }
    for (const auto& [key, attempt] : left) {
      if (!attempt.running) continue;
      for (const auto& rank : attempt.assignment.ranks()) {
        muster::internal::v1::RankExited& exit = *NewReport(key)->mutable_rank_exited();
        exit.set_rank(rank.rank());
        exit.set_cause(muster::internal::v1::EXIT_CAUSE_STOPPED);
        SendReport(reports_.rbegin()->second);
      }
      absl::MutexLock fleet(&fleet_.mutex_);
      fleet_.attempts_[key].ended = true;
    }
  }

  muster::internal::v1::Report* NewReport(const std::pair<std::string, uint32_t>& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    muster::internal::v1::Report& report = reports_[++sequence_];
    report.set_sequence(sequence_);
    report.set_job_id(key.first);
    report.set_attempt(key.second);
    return &report;
  }
  void SendReport(const muster::internal::v1::Report& report) {
    AgentMessage message;
    *message.mutable_report() = report;
    session_->Send(std::move(message));
  }

  const uint32_t number_;
  SimulatedFleet& fleet_;
  // Only for the fleet's thread; gRPC's threads use the session only while it exists.
  std::unique_ptr<SimulatedSession> session_;
  absl::Duration open_at_, welcome_by_, heartbeat_at_, progress_at_;
  absl::Duration backoff_ = kMinBackoff;
  uint64_t tries_ = 0;

  absl::Mutex mutex_;
  std::map<std::pair<std::string, uint32_t>, Attempt> attempts_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, muster::internal::v1::Report> reports_ ABSL_GUARDED_BY(mutex_);  // not acknowledged yet
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  bool welcomed_ ABSL_GUARDED_BY(mutex_) = false;
  bool silent_ = false;
};

SimulatedFleet::SimulatedFleet(const FleetOptions& options) : options_(options) {
  for (uint32_t i = 0; i < options.workers; ++i) agents_.push_back(std::make_unique<SimulatedAgent>(i, *this));
  thread_ = std::thread([this] { Run(); });
}

SimulatedFleet::~SimulatedFleet() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
  agents_.clear();
}

void SimulatedFleet::Run() {
  while (true) {
    std::string address;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), absl::Milliseconds(20));
      if (stopping_) return;
      address = address_;
    }
    const absl::Duration now = Now();
    for (const auto& agent : agents_) agent->Turn(address, now);
  }
}

void SimulatedFleet::ConnectTo(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  address_ = address;
}

void SimulatedFleet::ForgetWelcomes() {
  absl::MutexLock lock(&mutex_);
  welcomed_.clear();
  forgot_at_ = Now();
}

absl::Duration SimulatedFleet::WaitForWelcomes(uint32_t count, absl::Duration wait) {
  const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return welcomed_.size() >= count; };
  absl::MutexLock lock(&mutex_);
  if (!mutex_.AwaitWithTimeout(absl::Condition(&enough), wait)) return absl::InfiniteDuration();
  return Now() - forgot_at_;
}

uint32_t SimulatedFleet::welcomed() {
  absl::MutexLock lock(&mutex_);
  return static_cast<uint32_t>(welcomed_.size());
}

void SimulatedFleet::Silence(uint32_t count) {
  silenced_ = count;
  for (uint32_t i = 0; i < count; ++i) agents_[i]->FallSilent();
}

AttemptsSeen SimulatedFleet::attempts() {
  absl::MutexLock lock(&mutex_);
  return attempts_;
}

}  // namespace muster::bench
