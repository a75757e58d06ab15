#include "worker/rank/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace muster {

double LearningRateAt(const muster::v1::OptimizerSpec& spec, uint64_t step, uint64_t total_steps) {
  return LearningRateAt(spec, spec.learning_rate(), step, total_steps);
}

double LearningRateAt(const muster::v1::OptimizerSpec& spec, double rate, uint64_t step, uint64_t total_steps) {
  const double total = static_cast<double>(total_steps), now = static_cast<double>(step);
  const double warmup = std::clamp(std::round(spec.warmup() * total), 0.0, total);
  if (now < warmup) return rate * (now + 1) / warmup;
  if (now >= total) return spec.schedule() == muster::v1::SCHEDULE_CONSTANT ? rate : 0;
  const double done = (now - warmup) / (total - warmup);
  switch (spec.schedule()) {
    case muster::v1::SCHEDULE_COSINE:
      return rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
    case muster::v1::SCHEDULE_CONSTANT:
      return rate;
    case muster::v1::SCHEDULE_UNSPECIFIED:
    case muster::v1::SCHEDULE_LINEAR:
    case muster::v1::Schedule_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::Schedule_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return rate * (1 - done);
}

double ClipFactor(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace muster
