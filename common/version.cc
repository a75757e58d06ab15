#include "common/version.h"

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr std::string_view kUserAgent = "muster/";

}  // namespace

std::optional<Version> ParseVersion(std::string_view text) {
  const std::string_view numbers = text.substr(0, text.find_first_of("-+"));
  const std::vector<std::string> parts = absl::StrSplit(ToAbsl(numbers), '.');
  if (parts.size() != 3) return std::nullopt;
  std::array<uint32_t, 3> found{};
  for (size_t i = 0; i < 3; ++i) {
    if (!absl::SimpleAtoi(parts[i], &found[i])) return std::nullopt;
  }
  return Version{found[0], found[1], found[2]};
}

std::string ToString(const Version& version) {
  return absl::StrCat(version.major, ".", version.minor, ".", version.patch);
}

std::string OwnVersionText() { return MUSTER_VERSION; }

Version OwnVersion() { return ParseVersion(MUSTER_VERSION).value(); }

absl::Status CheckVersions(std::string_view who, const Version& peer, std::string_view us, const Version& own) {
  const uint32_t apart = peer.minor > own.minor ? peer.minor - own.minor : own.minor - peer.minor;
  if (peer.major == own.major && apart <= 1) return absl::OkStatus();
  const bool peer_is_older = peer < own;
  const Version& older = peer_is_older ? peer : own;
  const std::string next = peer.major == own.major ? absl::StrCat(older.major, ".", older.minor + 1)
                                                   : absl::StrCat("the last version ", older.major, ".x first");
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        ToAbsl(who), " is version ", ToString(peer), ", ", ToAbsl(us), " is ", ToString(own),
                        ": they may differ by one minor version. Upgrade ", ToAbsl(peer_is_older ? who : us), " to ", next,
                        ", and so on step by step (docs/operate/upgrade.md).")),
                    "VERSION_MISMATCH");
}

std::optional<Version> VersionOfUserAgent(std::string_view user_agent) {
  if (user_agent.substr(0, kUserAgent.size()) != kUserAgent) return std::nullopt;
  user_agent.remove_prefix(kUserAgent.size());
  return ParseVersion(user_agent.substr(0, user_agent.find(' ')));
}

}  // namespace muster
