#include "tests/bench/scale/liveness_probe.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "common/clock.h"
#include "common/rpc/health.h"

namespace muster::bench {
namespace {

constexpr absl::Duration kProbeEvery = absl::Milliseconds(100), kAnswerWithin = absl::Seconds(1);

std::shared_ptr<grpc::Channel> NewConnection(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

double Thousandths(absl::Duration duration) { return std::round(absl::ToDoubleMilliseconds(duration)) / 1000; }

}  // namespace

LivenessProbe::LivenessProbe(std::string address) : address_(std::move(address)) {
  begun_ = RealClock().Monotonic();
  thread_ = std::thread([this] { Run(); });
}

void LivenessProbe::Run() {
  absl::Duration next = begun_;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), next - RealClock().Monotonic())) break;
    }
    next = std::max(next + kProbeEvery, RealClock().Monotonic());
    const absl::StatusOr<bool> alive = CheckHealth(NewConnection(address_), "live", kAnswerWithin);
    const absl::Duration now = RealClock().Monotonic();
    const bool ok = alive.ok() && *alive;
    if (first_ == absl::InfiniteDuration()) {
      if (!ok) continue;
      first_ = last_ = now;
    }
    ++probes_;
    if (!ok) {
      ++failed_;
      continue;
    }
    longest_ = std::max(longest_, now - last_);
    last_ = now;
  }
  if (first_ != absl::InfiniteDuration()) longest_ = std::max(longest_, RealClock().Monotonic() - last_);
}

nlohmann::json LivenessProbe::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  const bool answered = first_ != absl::InfiniteDuration();
  return {{"first_answer_s", answered ? nlohmann::json(Thousandths(first_ - begun_)) : nlohmann::json(nullptr)},
          {"probes", probes_},
          {"failed", failed_},
          {"longest_gap_s", Thousandths(longest_)}};
}

}  // namespace muster::bench
