#include "coordinator/data/store/digest_index.h"

#include <gtest/gtest.h>

#include <string>

namespace muster {
namespace {

TEST(DigestIndex, NumbersDistinctIdsInTheirOrderAndFindsThem) {
  DigestIndex index;
  const int count = 100000;
  const auto id = [](int i) { return i % 2 == 0 ? std::to_string(i) : "a longer id, which is hashed " + std::to_string(i); };
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(index.Insert(DigestOfId(id(i))), std::pair(static_cast<uint32_t>(i), true));
    ASSERT_EQ(index.Insert(DigestOfId(id(i / 2))), std::pair(static_cast<uint32_t>(i / 2), false));
  }
  EXPECT_EQ(index.size(), static_cast<uint32_t>(count));
  for (int i = 0; i < count; ++i) ASSERT_EQ(index.Find(DigestOfId(id(i))), static_cast<uint32_t>(i));
  EXPECT_EQ(index.Find(DigestOfId("another")), std::nullopt);
}

TEST(DigestOfId, TellsIdsApartByLengthAndBytes) {
  EXPECT_NE(DigestOfId(""), DigestOfId(std::string(1, '\0')));
  EXPECT_NE(DigestOfId("123456789012345"), DigestOfId("1234567890123456"));
  EXPECT_NE(DigestOfId("1234567890123456"), DigestOfId("1234567890123457"));
}

}  // namespace
}  // namespace muster
