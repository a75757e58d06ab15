#include "common/garbage_category.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(GarbageCategory, IsWrittenTogetherWithTheTextThatOlderClientsRead) {
  for (int value = 1; value <= muster::v1::GarbageCategory_MAX; ++value) {
    const auto category = static_cast<muster::v1::GarbageCategory>(value);
    muster::v1::GarbageKind kind;
    SetCategory(category, kind);
    EXPECT_EQ(kind.category(), category);
    // A server of the previous version sends only the text.
    kind.clear_category();
    EXPECT_EQ(CategoryOf(kind), category) << CategoryName(category);
    muster::v1::GarbageItem item;
    SetCategory(category, item);
    EXPECT_EQ(CategoryOf(item), category);
  }
  EXPECT_EQ(CategoryOf(muster::v1::GarbageKind()), muster::v1::GARBAGE_CATEGORY_UNSPECIFIED);
}

TEST(GarbageSummary, SumsAllKinds) {
  muster::v1::CollectGarbageResponse response;
  EXPECT_EQ(GarbageSummary(false, TotalsOf(response.kinds())), "removed 0 things, 0 bytes");
  muster::v1::GarbageKind* blobs = response.add_kinds();
  blobs->set_count(1);
  blobs->set_bytes(40);
  EXPECT_EQ(GarbageSummary(true, TotalsOf(response.kinds())), "would remove 1 thing, 40 bytes");
  muster::v1::GarbageKind* jobs = response.add_kinds();
  jobs->set_count(2);
  EXPECT_EQ(GarbageSummary(false, TotalsOf(response.kinds())), "removed 3 things, 40 bytes");
}

}  // namespace
}  // namespace muster
