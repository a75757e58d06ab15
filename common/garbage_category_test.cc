#include "common/garbage_category.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(GarbageCategory, IsWrittenBesideTheTextThatOlderClientsRead) {
  for (int value = 1; value <= muster::v1::GarbageCategory_MAX; ++value) {
    const auto category = static_cast<muster::v1::GarbageCategory>(value);
    muster::v1::GarbageKind kind;
    SetCategory(category, kind);
    EXPECT_EQ(kind.category(), category);
    // A server of the version before sends the text alone.
    kind.clear_category();
    EXPECT_EQ(CategoryOf(kind), category) << CategoryName(category);
    muster::v1::GarbageItem item;
    SetCategory(category, item);
    EXPECT_EQ(CategoryOf(item), category);
  }
  EXPECT_EQ(CategoryOf(muster::v1::GarbageKind()), muster::v1::GARBAGE_CATEGORY_UNSPECIFIED);
}

}  // namespace
}  // namespace muster
