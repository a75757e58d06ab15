// The jobs of the benchmark: 1 to 16 slots, most of them small, with the fields that a typical job file sets.
#pragma once

#include <cstdint>
#include <string>

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
  spec.mutable_model()->mutable_prompts()->set_query("query: ");
  spec.mutable_model()->mutable_prompts()->set_passage("passage: ");
  spec.mutable_data()->set_train("facts");
  spec.mutable_duration()->set_steps(1000);
  spec.mutable_evaluate()->set_dataset("facts");
  spec.mutable_evaluate()->mutable_early_stop()->set_patience(5);
  spec.mutable_report()->set_dataset("facts");
  const uint32_t slots = kSlots[MixKey(17, number) % std::size(kSlots)];
  spec.mutable_resources()->mutable_slots()->set_min(slots);
  spec.mutable_resources()->mutable_slots()->set_max(slots);
  spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  return spec;
}

inline muster::v1::ResolvedJob ResolvedOfTheMix() {
  muster::v1::ResolvedJob resolved;
  resolved.set_train_dataset(std::string(64, 'a'));
  resolved.set_evaluate_dataset(std::string(64, 'a'));
  resolved.set_report_dataset(std::string(64, 'a'));
  resolved.set_model_manifest(std::string(64, 'b'));
  resolved.set_tokenizer_manifest(std::string(64, 'c'));
  resolved.set_tokenizer(std::string(64, 'd'));
  resolved.set_train_queries(100000);
  resolved.set_steps_per_epoch(3125);
  resolved.set_total_steps(1000);
  resolved.set_vocabulary_size(30522);
  resolved.mutable_prompts()->set_query("query: ");
  resolved.mutable_prompts()->set_passage("passage: ");
  resolved.set_architecture("bert");
  resolved.set_embedding_size(384);
  return resolved;
}

}  // namespace muster::bench
