// The jobs of the benchmark: 1 to 16 slots, most of them small.
#pragma once

#include <cstdint>

#include "common/random.h"
#include "absl/strings/str_cat.h"
#include "muster/v1/job.pb.h"

namespace muster::bench {

inline muster::v1::JobSpec JobOfTheMix(uint64_t number) {
  static constexpr uint32_t kSlots[] = {1, 1, 1, 2, 2, 4, 4, 8, 1, 16};
  muster::v1::JobSpec spec;
  spec.set_name(absl::StrCat("job-", number));
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_model()->set_tokenizer("words");
  spec.mutable_data()->set_train("facts");
  spec.mutable_duration()->set_steps(1000);
  const uint32_t slots = kSlots[MixKey(17, number) % std::size(kSlots)];
  spec.mutable_resources()->mutable_slots()->set_min(slots);
  spec.mutable_resources()->mutable_slots()->set_max(slots);
  spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  return spec;
}

}  // namespace muster::bench
