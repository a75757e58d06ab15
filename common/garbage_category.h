// Categories of garbage: the API's enumeration, and the deprecated text field that older clients and servers read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "muster/v1/garbage.pb.h"

namespace muster {

// "blobs"; for messages, metrics and the deprecated text fields.
std::string_view CategoryName(muster::v1::GarbageCategory category);

// Sets the category and its text.
void SetCategory(muster::v1::GarbageCategory category, muster::v1::GarbageKind& kind);
void SetCategory(muster::v1::GarbageCategory category, muster::v1::GarbageItem& item);

// The category, even if a server of the previous version sent it, which set only the text.
muster::v1::GarbageCategory CategoryOf(const muster::v1::GarbageKind& kind);
muster::v1::GarbageCategory CategoryOf(const muster::v1::GarbageItem& item);

// The totals over all kinds of garbage.
struct GarbageTotals {
  uint64_t count = 0, bytes = 0;
};
GarbageTotals TotalsOf(const google::protobuf::RepeatedPtrField<muster::v1::GarbageKind>& kinds);

// "removed 3 things, 70 bytes", or "would remove ..." after a dry run.
std::string GarbageSummary(bool dry_run, const GarbageTotals& totals);

}  // namespace muster
