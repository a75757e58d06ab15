// The settings of a job as text. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct Setting {
  std::string field;  // as in a job file: loss.temperature
  std::string value;  // in YAML, on one line
  std::vector<int> order;  // of the fields on its path in their messages, for sorting
};
// Every field that is set, in the order of the messages' fields.
std::vector<Setting> SettingsOf(const muster::v1::JobSpec& spec);

// A job file that parses to this specification. Every line begins with a key: line ends within texts are escaped.
std::string JobFileOf(const muster::v1::JobSpec& spec);

struct DifferingSetting {
  std::string field;
  std::vector<std::string> values;  // one per specification; "" if it does not set the field
};
// The settings, except names, that differ between the specifications, in the order of the messages' fields.
std::vector<DifferingSetting> DifferingSettings(absl::Span<const muster::v1::JobSpec> specs);

}  // namespace muster
