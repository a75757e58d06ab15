#include "common/garbage_category.h"

#include <string>

#include "absl/strings/str_cat.h"

// The one place that reads and writes the deprecated texts.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace muster {
namespace {

using muster::v1::GarbageCategory;

template <typename Entry>
GarbageCategory CategoryOfEntry(const Entry& entry) {
  if (entry.category() != muster::v1::GARBAGE_CATEGORY_UNSPECIFIED) return entry.category();
  for (int value = 1; value <= muster::v1::GarbageCategory_MAX; ++value) {
    const auto category = static_cast<GarbageCategory>(value);
    if (CategoryName(category) == entry.kind()) return category;
  }
  return muster::v1::GARBAGE_CATEGORY_UNSPECIFIED;
}

}  // namespace

std::string_view CategoryName(GarbageCategory category) {
  switch (category) {
    case muster::v1::GARBAGE_CATEGORY_BLOBS: return "blobs";
    case muster::v1::GARBAGE_CATEGORY_DATASETS: return "datasets";
    case muster::v1::GARBAGE_CATEGORY_TOKENS: return "tokens";
    case muster::v1::GARBAGE_CATEGORY_UPLOADS: return "uploads";
    case muster::v1::GARBAGE_CATEGORY_JOBS: return "jobs";
    case muster::v1::GARBAGE_CATEGORY_LOGS: return "logs";
    case muster::v1::GARBAGE_CATEGORY_UNSPECIFIED:
    case muster::v1::GarbageCategory_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::GarbageCategory_INT_MAX_SENTINEL_DO_NOT_USE_: break;
  }
  return "other";
}

void SetCategory(GarbageCategory category, muster::v1::GarbageKind& kind) {
  kind.set_category(category);
  kind.set_kind(std::string(CategoryName(category)));
}

void SetCategory(GarbageCategory category, muster::v1::GarbageItem& item) {
  item.set_category(category);
  item.set_kind(std::string(CategoryName(category)));
}

GarbageCategory CategoryOf(const muster::v1::GarbageKind& kind) { return CategoryOfEntry(kind); }
GarbageCategory CategoryOf(const muster::v1::GarbageItem& item) { return CategoryOfEntry(item); }

GarbageTotals TotalsOf(const google::protobuf::RepeatedPtrField<muster::v1::GarbageKind>& kinds) {
  GarbageTotals totals;
  for (const muster::v1::GarbageKind& kind : kinds) {
    totals.count += kind.count();
    totals.bytes += kind.bytes();
  }
  return totals;
}

std::string GarbageSummary(bool dry_run, const GarbageTotals& totals) {
  return absl::StrCat(dry_run ? "would remove " : "removed ", totals.count, totals.count == 1 ? " thing, " : " things, ",
                      totals.bytes, " bytes");
}

}  // namespace muster
