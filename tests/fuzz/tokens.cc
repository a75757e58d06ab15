// Token files. Laws: an accepted file is the same after writing and reading it; every entry is one that CheckToken permits; an
// error names the file.
#include "common/rpc/access/tokens.h"

#include "absl/strings/match.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto tokens = muster::ParseTokens(text, "tokens.yaml");
  if (!tokens.ok()) {
    FUZZ_CHECK(absl::StartsWith(tokens.status().message(), "tokens.yaml:"), tokens.status().ToString());
    return 0;
  }
  for (const muster::TokenEntry& token : *tokens) FUZZ_CHECK(muster::CheckToken(token).ok(), token.user);
  const auto again = muster::ParseTokens(muster::FormatTokens(*tokens), "again");
  FUZZ_CHECK(again.ok(), again.status().ToString());
  FUZZ_CHECK(again->size() == tokens->size(), "tokens were lost");
  for (size_t i = 0; i < tokens->size(); ++i) {
    const muster::TokenEntry &token = (*tokens)[i], &read = (*again)[i];
    FUZZ_CHECK(read.user == token.user && read.role == token.role && read.sha256 == token.sha256, token.user);
    const absl::Duration lost = token.expires - read.expires;  // fractions of a second are not written
    FUZZ_CHECK(read.expires == token.expires || (lost > absl::ZeroDuration() && lost < absl::Seconds(1)), token.user);
  }
  return 0;
}
