#include "common/rpc/access/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class TokensTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "tokens").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void Write(const std::vector<TokenEntry>& tokens) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / "tokens.yaml", FormatTokens(tokens)).ok());
  }
  std::unique_ptr<TokenFile> Open() { return TokenFile::Open(folder_ / "tokens.yaml", kNow).value(); }
  static TokenEntry Entry(const std::string& user, Role role, const std::string& secret) {
    return {user, role, Sha256Hex(secret), kNow + absl::Hours(1)};
  }
  std::filesystem::path folder_;
};

TEST(DrawToken, HasTwoHundredAndFiftySixRandomBits) {
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) tokens.insert(DrawToken());
  EXPECT_EQ(tokens.size(), 100u);
  EXPECT_THAT(*tokens.begin(), MatchesRegex("mst_[A-Za-z0-9_-]{43}"));
}

TEST_F(TokensTest, AFileReadsAsItWasWritten) {
  const std::vector<TokenEntry> written = {Entry("ana", Role::kSubmitter, "a"),
                                           Entry("gpu-*", Role::kWorker, "b"),
                                           {"ops@example.org", Role::kOperator, Sha256Hex("c")}};
  const auto read = ParseTokens(FormatTokens(written), "tokens.yaml");
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*read)[i].user, written[i].user);
    EXPECT_EQ((*read)[i].role, written[i].role);
    EXPECT_EQ((*read)[i].sha256, written[i].sha256);
    EXPECT_EQ((*read)[i].expires, written[i].expires);
  }
  EXPECT_TRUE(ParseTokens(FormatTokens({}), "x")->empty());
  EXPECT_TRUE(ParseTokens("", "x")->empty());
}

TEST_F(TokensTest, ErrorsNameTheLine) {
  const auto error = [](const std::string& text) {
    return std::string(ParseTokens(text, "t.yaml").status().message());
  };
  const std::string hash(64, 'a');
  EXPECT_THAT(error("tokens:\n  - {user: a, role: viewer, sha256: " + hash +
                    "}\n  - {user: b, role: king, sha256: " + hash + "}\n"),
              HasSubstr("t.yaml:3: role: must be"));
  EXPECT_THAT(error("tokens: [{user: a, role: coordinator, sha256: " + hash + "}]"), HasSubstr("role: must be"));
  EXPECT_THAT(error("tokens: [{user: a, role: viewer, sha256: abc}]"), HasSubstr("sha256: must be"));
  EXPECT_THAT(error("tokens: [{user: \"a b\", role: viewer, sha256: " + hash + "}]"), HasSubstr("is not a valid name"));
  EXPECT_THAT(error("tokens: [{user: a, role: viewer, secret: x}]"), HasSubstr("unknown key \"secret\""));
  EXPECT_THAT(error("tokens: [{user: a, role: viewer, sha256: " + hash + ", expires: soon}]"), HasSubstr("is not a time"));
  EXPECT_THAT(error("tokens: {a: b}"), HasSubstr("must be"));
  EXPECT_THAT(error("token: []"), HasSubstr("must be"));
  EXPECT_THAT(error("tokens: ["), HasSubstr("t.yaml:"));
  EXPECT_THAT(error("tokens: [[a]]"), HasSubstr("keys and values"));
  EXPECT_THAT(error("tokens: [{user: [a]}]"), HasSubstr("t.yaml:"));
}

TEST_F(TokensTest, KnowsItsUsersUntilTheyExpire) {
  Write({Entry("ana", Role::kSubmitter, "a"), Entry("ops", Role::kOperator, "b")});
  const auto file = Open();
  const auto ana = file->Authenticate("a", kNow);
  ASSERT_TRUE(ana.ok()) << ana.status();
  EXPECT_EQ(ana->name, "ana");
  EXPECT_EQ(ana->role, Role::kSubmitter);
  EXPECT_EQ(ana->proof, Proof::kToken);
  EXPECT_EQ(file->Authenticate("b", kNow)->role, Role::kOperator);
  EXPECT_EQ(ReasonOf(file->Authenticate("c", kNow).status()), "TOKEN_UNKNOWN");
  EXPECT_EQ(ReasonOf(file->Authenticate("", kNow).status()), "TOKEN_UNKNOWN");
  EXPECT_EQ(ReasonOf(file->Authenticate(Sha256Hex("a"), kNow).status()), "TOKEN_UNKNOWN") << "a hash is not a token";
  const absl::Status late = file->Authenticate("a", kNow + absl::Hours(1)).status();
  EXPECT_EQ(ReasonOf(late), "TOKEN_EXPIRED");
  EXPECT_EQ(late.code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(TokensTest, ARevokedTokenIsRefusedWithinASecond) {
  Write({Entry("ana", Role::kSubmitter, "a"), Entry("bob", Role::kViewer, "b")});
  const auto file = Open();
  Write({Entry("bob", Role::kViewer, "b")});
  EXPECT_TRUE(file->Authenticate("a", kNow + absl::Milliseconds(999)).ok());
  EXPECT_EQ(ReasonOf(file->Authenticate("a", kNow + absl::Seconds(1)).status()), "TOKEN_UNKNOWN");
  EXPECT_TRUE(file->Authenticate("b", kNow + absl::Seconds(1)).ok());
}

TEST_F(TokensTest, AFileThatCannotBeUnderstoodChangesNothingAndOneThatIsGoneMeansNoTokens) {
  Write({Entry("ana", Role::kSubmitter, "a")});
  const auto file = Open();
  ASSERT_TRUE(WriteFileAtomically(folder_ / "tokens.yaml", "tokens: [{user: an").ok());
  EXPECT_TRUE(file->Authenticate("a", kNow + absl::Seconds(2)).ok());
  std::filesystem::remove(folder_ / "tokens.yaml");
  EXPECT_FALSE(file->Authenticate("a", kNow + absl::Seconds(4)).ok());
  Write({Entry("ana", Role::kSubmitter, "a")});
  EXPECT_TRUE(file->Authenticate("a", kNow + absl::Seconds(6)).ok());
  EXPECT_EQ(TokenFile::Open(folder_ / "none", kNow).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace muster
