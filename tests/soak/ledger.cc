#include "tests/soak/ledger.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/status.h"

namespace muster {
namespace {

constexpr size_t kMaxBroken = 100;

float Quantile(std::vector<float> values, double share) {
  const size_t at = std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

void Ledger::Call(const std::string& rpc, const absl::Status& status, absl::Duration took) {
  absl::MutexLock lock(&mutex_);
  milliseconds_[rpc].push_back(static_cast<float>(absl::ToDoubleMilliseconds(took)));
  if (status.ok()) return;
  Error& error = errors_[{rpc, absl::StatusCodeToString(status.code()), ReasonOf(status)}];
  if (error.count++ == 0) error.message = std::string(status.message());
}

void Ledger::Broken(const std::string& what) {
  absl::MutexLock lock(&mutex_);
  if (broken_.size() < kMaxBroken) broken_.push_back(what);
}

void Ledger::Count(const std::string& what, uint64_t by) {
  absl::MutexLock lock(&mutex_);
  counts_[what] += by;
}

uint64_t Ledger::counted(const std::string& what) const {
  absl::MutexLock lock(&mutex_);
  const auto found = counts_.find(what);
  return found == counts_.end() ? 0 : found->second;
}

std::string Ledger::Report() const {
  absl::MutexLock lock(&mutex_);
  nlohmann::json report = {{"calls", nlohmann::json::object()},
                           {"errors", nlohmann::json::array()},
                           {"broken", broken_},
                           {"counts", counts_}};
  for (const auto& [rpc, values] : milliseconds_) {
    report["calls"][rpc] = {
        {"count", values.size()}, {"p50_ms", Quantile(values, 0.5)}, {"p99_ms", Quantile(values, 0.99)}};
  }
  for (const auto& [key, error] : errors_) {
    const auto& [rpc, code, reason] = key;
    report["errors"].push_back(
        {{"rpc", rpc}, {"code", code}, {"reason", reason}, {"count", error.count}, {"message", error.message}});
  }
  return report.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace muster
