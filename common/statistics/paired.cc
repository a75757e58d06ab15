#include "common/statistics/paired.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "common/random.h"
#include "common/statistics/quantiles.h"
#include "common/statistics/summary.h"

namespace muster {
namespace {

constexpr size_t kExactDifferences = 20;  // 2^20 assignments
constexpr double kTie = 1e-12;

// Sums of differences under any signs, eight differences per table: in entry `bits`, a set bit flips the sign of its
// difference.
class SignedSums {
 public:
  explicit SignedSums(const std::vector<double>& differences) : tables_((differences.size() + 7) / 8) {
    for (size_t t = 0; t < tables_.size(); ++t) {
      for (unsigned bits = 0; bits < 256; ++bits) {
        double sum = 0;
        for (size_t i = 8 * t; i < std::min(8 * t + 8, differences.size()); ++i) {
          sum += (bits >> (i - 8 * t) & 1) != 0 ? -differences[i] : differences[i];
        }
        tables_[t][bits] = sum;
      }
    }
  }
  size_t tables() const { return tables_.size(); }
  double Part(size_t table, uint32_t bits) const { return tables_[table][bits & 255]; }

 private:
  std::vector<std::array<double, 256>> tables_;
};

double RandomSum(const SignedSums& sums, uint64_t key, uint64_t flip) {
  double sum = 0;
  for (size_t table = 0; table < sums.tables(); table += 16) {
    const auto words = Philox({static_cast<uint32_t>(flip), static_cast<uint32_t>(flip >> 32),
                               static_cast<uint32_t>(table / 16), 0}, key);
    for (size_t i = table; i < std::min(table + 16, sums.tables()); ++i) {
      sum += sums.Part(i, words[(i - table) / 4] >> 8 * ((i - table) % 4));
    }
  }
  return sum;
}

}  // namespace

PairedTTest TestByT(absl::Span<const double> differences) {
  PairedTTest result;
  if (differences.size() < 2) return result;
  const double count = static_cast<double>(differences.size());
  result.degrees = count - 1;
  const double mean = Mean(differences), deviation = StandardDeviation(differences);
  if (mean == 0) return result;
  result.t = deviation > 0 ? mean / (deviation / std::sqrt(count))
                           : std::copysign(std::numeric_limits<double>::infinity(), mean);
  result.p = StudentTwoSided(result.t, result.degrees);
  return result;
}

RandomizationTest TestBySignFlips(absl::Span<const double> differences, const RandomizationOptions& options) {
  // The sign of a difference of 0 does not matter.
  std::vector<double> moving;
  double total = 0, size = 0;
  for (const double difference : differences) {
    if (std::abs(difference) <= kTie) continue;
    moving.push_back(difference);
    total += difference;
    size += std::abs(difference);
  }
  const SignedSums sums(moving);
  // Sums that are equal in exact arithmetic count as equal. Metrics have few distinct values, so this happens often.
  const double limit = std::abs(total) - kTie * size;
  uint64_t extreme = 0;
  if (moving.size() <= kExactDifferences) {
    const uint64_t all = uint64_t{1} << moving.size();
    for (uint64_t bits = 0; bits < all; ++bits) {
      double sum = 0;
      for (size_t i = 0; i < sums.tables(); ++i) sum += sums.Part(i, static_cast<uint32_t>(bits >> 8 * i));
      extreme += std::abs(sum) >= limit;
    }
    return {static_cast<double>(extreme) / static_cast<double>(all), all, true};
  }
  const uint64_t key = MixKey(options.seed, 0xF11B);
  for (uint64_t flip = 1; flip < options.flips; ++flip) extreme += std::abs(RandomSum(sums, key, flip)) >= limit;
  return {static_cast<double>(extreme + 1) / static_cast<double>(options.flips), options.flips, false};
}

double PairedEffectSize(absl::Span<const double> differences) {
  const double mean = Mean(differences), deviation = StandardDeviation(differences);
  if (mean == 0) return 0;
  return deviation > 0 ? mean / deviation : std::copysign(std::numeric_limits<double>::infinity(), mean);
}

Wins CountWins(absl::Span<const double> differences) {
  Wins counts;
  for (const double difference : differences) {
    ++(difference > kTie ? counts.wins : difference < -kTie ? counts.losses : counts.ties);
  }
  return counts;
}

}  // namespace muster
