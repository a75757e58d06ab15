// The reason for a state: a code from a closed set for programs, and a human-readable text.
#pragma once

#include <string>

#include "muster/v1/reason.pb.h"

namespace muster {

struct Reason {
  muster::v1::ReasonCode code = muster::v1::REASON_CODE_UNSPECIFIED;
  std::string text;
  bool operator==(const Reason&) const = default;
  bool empty() const { return text.empty(); }
};

}  // namespace muster
