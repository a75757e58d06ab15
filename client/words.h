// Readable text: enumerations in lower case without prefix, sizes, times.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace muster {

// OBJECTIVE_LSEPAIR → lsepair, OBJECTIVE_UNSPECIFIED → default.
std::string WordOf(const google::protobuf::EnumValueDescriptor& value);
template <typename E>
std::string WordOf(E value) {
  const auto* found = google::protobuf::GetEnumDescriptor<E>()->FindValueByNumber(value);
  return found != nullptr ? WordOf(*found) : std::to_string(value);
}

std::string WithThousands(uint64_t number);                     // 30,522
std::string SizeText(uint64_t bytes);                           // 90.9 MB
std::string DurationText(double seconds);                       // 12 s, 3:05, 1:02:03
std::string TimeText(const google::protobuf::Timestamp& time);  // local time, to the second; "-" if unset
// "42 s ago", "3 min ago", "5 h ago", "12 days ago"; "-" if unset. A time slightly after `now`, because clocks differ, is
// "now".
std::string AgeText(const google::protobuf::Timestamp& time, absl::Time now);
std::string Plural(uint64_t count, const std::string& noun);    // 1 query, 2 queries, 3 steps

// The columns that UTF-8 text without wide characters takes. Color codes take none.
int ColumnsOf(const std::string& text);
// The first columns of a text, "…" at their end if more was cut off.
std::string FitText(const std::string& text, int columns);

}  // namespace muster
