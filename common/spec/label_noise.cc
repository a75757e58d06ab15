#include "common/spec/label_noise.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace muster {

using muster::v1::DataSpec;
using muster::v1::NoiseSpec;

bool HasNoise(const DataSpec& data) {
  const NoiseSpec& noise = data.noise();
  return noise.random_passages() != 0 || noise.hard_negatives() != 0 || noise.other_positives() != 0 || noise.dropped() != 0 ||
         noise.blurred_grades() != 0;
}

void FillNoise(DataSpec& data) {
  if (!data.has_noise()) return;
  if (!HasNoise(data)) {
    data.clear_noise();
    return;
  }
  NoiseSpec& noise = *data.mutable_noise();
  noise.set_random_passages(noise.random_passages());
  noise.set_hard_negatives(noise.hard_negatives());
  noise.set_other_positives(noise.other_positives());
  noise.set_dropped(noise.dropped());
  noise.set_blurred_grades(noise.blurred_grades());
  if (!noise.has_seed()) noise.set_seed(kDefaultNoiseSeed);
}

std::string NoiseText(const DataSpec& data) {
  if (!HasNoise(data)) return "";
  const NoiseSpec& noise = data.noise();
  std::string text;
  for (const auto& [name, value] : {std::pair("random passages ", noise.random_passages()),
                                    std::pair("hard negatives ", noise.hard_negatives()),
                                    std::pair("other positives ", noise.other_positives()),
                                    std::pair("dropped ", noise.dropped()),
                                    std::pair("errors of grades ", noise.blurred_grades())}) {
    if (value != 0) absl::StrAppend(&text, name, value, ", ");
  }
  return absl::StrCat(text, "seed ", noise.has_seed() ? noise.seed() : kDefaultNoiseSeed);
}

absl::Status CheckNoise(const DataSpec& data) {
  const NoiseSpec& noise = data.noise();
  const double sum = noise.random_passages() + noise.hard_negatives() + noise.other_positives() + noise.dropped();
  constexpr double kRounding = 1e-9;  // of a sum such as 0.1 + 0.2 + 0.7
  if (sum <= 1 + kRounding) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("data.noise: random_passages, hard_negatives, other_positives and dropped add up to ", sum,
                   ". A positive has only one of these fates, so lower them to a sum of at most 1."));
}

}  // namespace muster
