// Defaults of other tools for training embedding models: `profile: tevatron` in a job file. Every value is the default
// of the tool's code or of its published training example; docs/reference/profiles.md names the file of each. The profile
// multi-positive has the settings of a paper, arXiv 2602.12727.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Absent: the tool has no default, decides by model or data, or has a setting that Muster lacks. Muster's own
// default applies then.
struct Profile {
  std::string_view name;
  float temperature;
  std::optional<muster::v1::Pooling> pooling;
  bool normalize;
  std::optional<uint32_t> query_length, passage_length;  // tokens, including special tokens
  std::string_view query_prompt = "", passage_prompt = "";
  double learning_rate;
  std::optional<double> lora_learning_rate;  // used if model.lora is set; absent: learning_rate
  std::optional<uint32_t> lora_rank;         // where model.lora is given
  std::optional<double> lora_alpha;
  std::optional<muster::v1::Schedule> schedule;
  std::optional<double> warmup;
  double weight_decay;
  double beta2 = 0.999;
  double max_grad_norm = 1;
  std::optional<uint32_t> queries;  // per step
  uint32_t positives;               // per query
  muster::v1::Choose choose_positives;
  std::optional<uint32_t> negatives;
  std::optional<muster::v1::Choose> choose_negatives;
  bool folder_length = false;  // the tool cuts texts at the length given by the model's folder
};
std::span<const Profile> Profiles();
// Those of tools, whose arguments `muster init --from` reads.
std::span<const Profile> ToolProfiles();

// Null: no profile has this name.
const Profile* FindProfile(std::string_view name);

// INVALID_ARGUMENT naming all profiles and the nearest one, unless the specification's profile exists or is empty.
absl::Status CheckProfile(const muster::v1::JobSpec& spec);

// Sets the fields of the specification's profile that are not set. Idempotent; an unknown profile sets nothing.
void ApplyProfile(muster::v1::JobSpec& spec);

}  // namespace muster
