// Tokens: secrets that users (and workers) present instead of a certificate.
//
// A token is 256 random bits, so storing its plain SHA-256 is safe: a slow hash only protects secrets that can be guessed. The
// file:
//
//   tokens:
//     - {user: ana, role: submitter, sha256: HEX, expires: 2027-01-01T00:00:00Z}
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/principal.h"

namespace muster {

struct TokenEntry {
  std::string user;  // 1 to 64 of [A-Za-z0-9._@-]; for a worker, the name as in its certificate
  Role role = Role::kUnknown;
  std::string sha256;  // of the token's text
  absl::Time expires = absl::InfiniteFuture();
};

// "mst_" and 43 characters of base64url.
std::string DrawToken();

// `name`: the file's name, for errors, which also name the line.
absl::StatusOr<std::vector<TokenEntry>> ParseTokens(const std::string& text, const std::string& name);
std::string FormatTokens(const std::vector<TokenEntry>& tokens);
absl::Status CheckToken(const TokenEntry& token);

// A server's token file, read again when it changes: at most once per second, so that a revoked token is refused within
// a second. A file that cannot be parsed changes nothing; a missing file means no tokens. Thread-safe.
class TokenFile {
 public:
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(std::filesystem::path path, absl::Time now);

  // UNAUTHENTICATED: unknown, or expired.
  absl::StatusOr<Principal> Authenticate(std::string_view token, absl::Time now);

 private:
  explicit TokenFile(std::filesystem::path path) : path_(std::move(path)) {}
  absl::Status Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::filesystem::path path_;
  absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  std::vector<TokenEntry> tokens_ ABSL_GUARDED_BY(mutex_);
  absl::Time read_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace muster
