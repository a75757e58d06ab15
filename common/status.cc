#include "common/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "common/view.h"

namespace muster {
namespace {
constexpr absl::string_view kReasonUrl = "muster/reason";
constexpr absl::string_view kRetryUrl = "muster/retry-after";
}

absl::Status WithContext(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  // A server may already have named the same command.
  if (absl::StartsWith(status.message(), absl::StrCat(ToAbsl(context), ": "))) return status;
  absl::Status result(status.code(), absl::StrCat(ToAbsl(context), ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { result.SetPayload(url, payload); });
  return result;
}

absl::Status WithReason(absl::Status status, std::string_view reason) {
  if (!status.ok()) status.SetPayload(kReasonUrl, absl::Cord(ToAbsl(reason)));
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kReasonUrl);
  return payload.has_value() ? std::string(*payload) : std::string();
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration wait) {
  if (!status.ok()) status.SetPayload(kRetryUrl, absl::Cord(absl::FormatDuration(wait)));
  return status;
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryUrl);
  absl::Duration wait;
  if (!payload.has_value() || !absl::ParseDuration(std::string(*payload), &wait)) return std::nullopt;
  return wait;
}

}  // namespace muster
