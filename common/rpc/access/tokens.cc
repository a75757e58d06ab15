#include "common/rpc/access/tokens.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr absl::Duration kReread = absl::Seconds(1);

bool IsUserName(std::string_view name) {
  if (name.ends_with("-*")) name.remove_suffix(1);
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '@' || c == '-';
  });
}

absl::StatusOr<TokenEntry> ParseToken(const YAML::Node& node) {
  TokenEntry token;
  if (!node.IsMap()) return absl::InvalidArgumentError("a token must be keys and values");
  for (const auto& entry : node) {
    const std::string key = entry.first.as<std::string>(), value = entry.second.as<std::string>();
    if (key == "user") {
      token.user = value;
    } else if (key == "role") {
      token.role = RoleFromName(value);
    } else if (key == "sha256") {
      token.sha256 = value;
    } else if (key == "expires") {
      std::string error;
      if (!absl::ParseTime(absl::RFC3339_full, value, &token.expires, &error)) {
        return absl::InvalidArgumentError(
            absl::StrCat("expires: \"", value, "\" is not a time; write 2027-01-01T00:00:00Z"));
      }
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown key \"", key, "\". Allowed: user, role, sha256, expires."));
    }
  }
  RETURN_IF_ERROR(CheckToken(token));
  return token;
}

}  // namespace

absl::Status CheckToken(const TokenEntry& token) {
  if (!IsUserName(token.user)) {
    return absl::InvalidArgumentError(
        absl::StrCat("user: \"", token.user, "\" is not a valid name; use 1 to 64 characters of [A-Za-z0-9._@-]"));
  }
  if (!IsPerson(token.role) && token.role != Role::kWorker) {
    return absl::InvalidArgumentError("role: must be viewer, submitter, operator or worker");
  }
  if (!IsSha256Hex(token.sha256)) return absl::InvalidArgumentError("sha256: must be 64 lower-case hexadecimal digits");
  return absl::OkStatus();
}

std::string DrawToken() {
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) std::abort();  // no random numbers, no secrets
  std::string text = absl::WebSafeBase64Escape({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  while (text.ends_with('=')) text.pop_back();
  return absl::StrCat("mst_", text);
}

absl::StatusOr<std::vector<TokenEntry>> ParseTokens(const std::string& text, const std::string& name) {
  std::vector<TokenEntry> tokens;
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return tokens;
    if (!root.IsMap() || root.size() != 1 || !root["tokens"] ||
        !(root["tokens"].IsSequence() || root["tokens"].IsNull())) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": must be `tokens:` and a list"));
    }
    for (const YAML::Node& node : root["tokens"]) {
      absl::StatusOr<TokenEntry> token = ParseToken(node);
      if (!token.ok()) return WithContext(token.status(), absl::StrCat(name, ":", node.Mark().line + 1));
      tokens.push_back(*std::move(token));
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", error.mark.line + 1, ": ", error.msg));
  }
  return tokens;
}

std::string FormatTokens(const std::vector<TokenEntry>& tokens) {
  std::string text =
      "# Made by `muster tokens`: hashes, not secrets. Servers notice a change within a second.\ntokens:\n";
  if (tokens.empty()) text = text.substr(0, text.size() - 1) + " []\n";
  for (const TokenEntry& token : tokens) {
    absl::StrAppend(&text, "  - {user: \"", token.user, "\", role: ", ToAbsl(RoleName(token.role)),
                    ", sha256: ", token.sha256);
    if (token.expires != absl::InfiniteFuture()) {
      absl::StrAppend(&text, ", expires: ", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", token.expires, absl::UTCTimeZone()));
    }
    absl::StrAppend(&text, "}\n");
  }
  return text;
}

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(std::filesystem::path path, absl::Time now) {
  std::unique_ptr<TokenFile> file(new TokenFile(std::move(path)));
  absl::MutexLock lock(&file->mutex_);
  RETURN_IF_ERROR(file->Read());
  file->read_ = now;
  return file;
}

absl::Status TokenFile::Read() {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path_));
  if (text == text_) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<TokenEntry> tokens, ParseTokens(text, path_.string()));
  text_ = std::move(text);
  tokens_ = std::move(tokens);
  return absl::OkStatus();
}

absl::StatusOr<Principal> TokenFile::Authenticate(std::string_view token, absl::Time now) {
  const std::string hash = Sha256Hex(token);
  absl::MutexLock lock(&mutex_);
  if (now - read_ >= kReread || now < read_) {
    const absl::Status status = Read();
    if (absl::IsNotFound(status)) {
      tokens_.clear();
      text_.clear();
    }
    if (!status.ok()) spdlog::warn("tokens: {}", std::string(status.message()));
    read_ = now;
  }
  // All are compared, each in constant time, so that the duration reveals nothing.
  const TokenEntry* found = nullptr;
  for (const TokenEntry& entry : tokens_) {
    if (CRYPTO_memcmp(entry.sha256.data(), hash.data(), hash.size()) == 0) found = &entry;
  }
  if (found == nullptr) {
    return WithReason(absl::UnauthenticatedError("the token is unknown. Ask an operator for another."),
                      "TOKEN_UNKNOWN");
  }
  if (now >= found->expires) {
    return WithReason(absl::UnauthenticatedError(absl::StrCat("the token of ", found->user, " expired at ",
                                                              absl::FormatTime(found->expires, absl::UTCTimeZone()),
                                                              ". Ask an operator for another.")),
                      "TOKEN_EXPIRED");
  }
  return Principal{found->role, found->user, Proof::kToken};
}

}  // namespace muster
