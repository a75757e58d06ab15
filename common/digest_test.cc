#include "common/digest.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

// Vectors: FIPS 180-4 examples of NIST.
TEST(Sha256, AgreesWithPublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, DoesNotDependOnHowBytesArrive) {
  Sha256 sha;
  sha.Update("a");
  sha.Update("");
  sha.Update("bc");
  EXPECT_EQ(sha.FinishHex(), Sha256Hex("abc"));
}

TEST(Sha256, KnowsItsTextForm) {
  EXPECT_TRUE(IsSha256Hex(Sha256Hex("abc")));
  EXPECT_FALSE(IsSha256Hex("abc"));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'A')));
}

TEST(Sha256, OfAMissingFileNamesIt) {
  const auto digest = Sha256HexOfFile("/nowhere/at/all");
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(digest.status().message().find("/nowhere/at/all"), std::string::npos);
}

}  // namespace
}  // namespace muster
