#include "coordinator/core/goodput.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace muster {
namespace {

constexpr double kShareParts = 1 << 20;

int64_t DataParts(const AttemptUse& use) {
  if (use.use != SlotUse::kTrain || !(use.data_share > 0)) return 0;
  return std::llround(std::min(use.data_share, 1.0) * kShareParts) * use.slots;
}

}  // namespace

const char* NameOf(SlotUse use) {
  switch (use) {
    case SlotUse::kStart: return "start";
    case SlotUse::kTrain: return "train";
    case SlotUse::kEvaluate: return "evaluate";
    case SlotUse::kCheckpoint: return "checkpoint";
    case SlotUse::kData: return "data";
  }
  return "";
}

std::set<std::string> Goodput::TakeTouched() { return std::exchange(touched_, {}); }

void Goodput::Count(const AttemptUse& use, int64_t sign) {
  slots_[static_cast<size_t>(use.use)] += sign * use.slots;
  data_parts_ += sign * DataParts(use);
}

void Goodput::Set(const std::string& job, const AttemptUse& use) {
  const auto [found, fresh] = attempts_.try_emplace(job);
  Attempt& attempt = found->second;
  if (!fresh) Count(attempt.use, -1);
  attempt = {use, AtRisk(attempt), clock_};
  Count(use, 1);
}

void Goodput::Erase(const std::string& job) {
  const auto found = attempts_.find(job);
  if (found == attempts_.end()) return;
  Count(found->second.use, -1);
  attempts_.erase(found);
}

std::array<double, kSlotUses> Goodput::Pass(double seconds) {
  clock_ += seconds;
  std::array<double, kSlotUses> spent;
  for (size_t use = 0; use < kSlotUses; ++use) spent[use] = static_cast<double>(slots_[use]) * seconds;
  const double data = static_cast<double>(data_parts_) / kShareParts * seconds;
  spent[static_cast<size_t>(SlotUse::kTrain)] -= data;
  spent[static_cast<size_t>(SlotUse::kData)] += data;
  return spent;
}

double Goodput::AtRisk(const Attempt& attempt) const {
  return attempt.at_risk + (attempt.use.use == SlotUse::kTrain ? attempt.use.slots * (clock_ - attempt.since) : 0);
}

double Goodput::AtRisk(const std::string& job) const {
  const auto found = attempts_.find(job);
  return found == attempts_.end() ? 0 : AtRisk(found->second);
}

void Goodput::LimitAtRisk(const std::string& job, double slot_seconds) {
  const auto found = attempts_.find(job);
  if (found == attempts_.end()) return;
  found->second.at_risk = std::min(AtRisk(found->second), slot_seconds);
  found->second.since = clock_;
}

}  // namespace muster
