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
// Every field that is set, in the order of the messages.
std::vector<Setting> SettingsOf(const muster::v1::JobSpec& spec);

// A job file that reads back as this specification. Every line has a key: no text in it can end the line that it is on.
std::string JobFileOf(const muster::v1::JobSpec& spec);

struct DifferingSetting {
  std::string field;
  std::vector<std::string> values;  // per specification; "" where it is not set
};
// Those that are not the same in all of them, except names, in the order of the messages.
std::vector<DifferingSetting> DifferingSettings(absl::Span<const muster::v1::JobSpec> specs);

}  // namespace muster
