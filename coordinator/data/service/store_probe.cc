#include "coordinator/data/service/store_probe.h"

#include <spdlog/spdlog.h>

#include "absl/time/time.h"

namespace muster {
namespace {

constexpr absl::Duration kEvery = absl::Seconds(1);

}  // namespace

StoreProbe::StoreProbe(const Catalogue& catalogue, HealthServer& health)
    : catalogue_(catalogue), health_(health), thread_([this] { Run(); }) {}

StoreProbe::~StoreProbe() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void StoreProbe::Run() {
  bool answered = true;
  while (true) {
    const absl::Status status = catalogue_.Probe();
    if (status.ok()) health_.Beat();
    if (answered && !status.ok()) spdlog::error("the catalog does not answer: {}", std::string(status.message()));
    answered = status.ok();
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kEvery)) return;
  }
}

}  // namespace muster
