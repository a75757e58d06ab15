#include "common/fast_digest.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace muster {
namespace {

TEST(FastDigest, DiffersForEverySingleBit) {
  for (const size_t size : {1, 7, 63, 64, 65, 200}) {
    std::string bytes(size, 'x');
    std::set<uint64_t> seen = {FastDigest(bytes, 1)};
    for (size_t bit = 0; bit < 8 * size; ++bit) {
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      EXPECT_TRUE(seen.insert(FastDigest(bytes, 1)).second) << size << " bytes, bit " << bit;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    }
    EXPECT_FALSE(seen.insert(FastDigest(bytes, 1)).second);
  }
}

TEST(FastDigest, DependsOnOrderLengthAndWhatCameBefore) {
  const std::string a(64, 'a'), b(64, 'b');
  std::set<uint64_t> seen;
  for (const std::string& bytes : {a + b, b + a, a, a + a, a + std::string(1, '\0'), std::string(), std::string(8, '\0')}) {
    for (const uint64_t so_far : {0, 1, 2}) EXPECT_TRUE(seen.insert(FastDigest(bytes, so_far)).second);
  }
  EXPECT_NE(FastDigest(b, FastDigest(a, 0)), FastDigest(a, FastDigest(b, 0)));
}

}  // namespace
}  // namespace muster
