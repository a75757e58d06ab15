#include "common/rpc/errors.h"

#include <google/protobuf/any.pb.h>

#include <optional>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "google/rpc/status.pb.h"

namespace muster {
namespace {

// The type names by which other gRPC clients know these.
constexpr std::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr std::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
constexpr std::string_view kRequestInfoUrl = "type.googleapis.com/google.rpc.RequestInfo";
constexpr std::string_view kDomain = "muster";
// The type URL of the request id among a status's payloads.
constexpr absl::string_view kRequestIdUrl = "muster/request_id";

void Pack(google::rpc::Status& details, std::string_view url, const google::protobuf::Message& message) {
  google::protobuf::Any& any = *details.add_details();
  any.set_type_url(std::string(url));
  any.set_value(message.SerializeAsString());
}

// A message travels in the trailing metadata, which clients refuse entirely above 8 KiB. Every byte may take three, and a
// status with a reason contains the message twice. Messages that quote a caller's input may have any length.
constexpr size_t kMaxMessage = 1024;

std::string Shortened(absl::string_view message) {
  if (message.size() <= kMaxMessage) return std::string(message);
  size_t end = kMaxMessage;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;  // between two characters
  return absl::StrCat(message.substr(0, end), "…");
}

}  // namespace

absl::Duration RateLimitOf(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return absl::ZeroDuration();
  return RetryAfterOf(status).value_or(absl::ZeroDuration());
}

absl::Status WithRequestId(absl::Status status, const std::string& request_id) {
  if (!status.ok()) status.SetPayload(kRequestIdUrl, absl::Cord(request_id));
  return status;
}

std::string RequestIdOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRequestIdUrl);
  return payload.has_value() ? std::string(*payload) : std::string();
}

// Both enumerations are the canonical codes with the same numbers.
grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message = Shortened(status.message());
  google::rpc::Status details;
  if (const std::string reason = ReasonOf(status); !reason.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain(std::string(kDomain));
    Pack(details, kErrorInfoUrl, info);
  }
  if (const std::optional<absl::Duration> wait = RetryAfterOf(status); wait.has_value()) {
    google::rpc::RetryInfo retry;
    absl::Duration rest;
    retry.mutable_retry_delay()->set_seconds(absl::IDivDuration(*wait, absl::Seconds(1), &rest));
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
    Pack(details, kRetryInfoUrl, retry);
  }
  if (const std::string request_id = RequestIdOf(status); !request_id.empty()) {
    google::rpc::RequestInfo info;
    info.set_request_id(request_id);
    Pack(details, kRequestInfoUrl, info);
  }
  if (details.details().empty()) return grpc::Status(code, message);
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  return grpc::Status(code, message, details.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo error;
    google::rpc::RetryInfo retry;
    google::rpc::RequestInfo request;
    if (any.type_url() == kErrorInfoUrl && error.ParseFromString(any.value()) && error.domain() == kDomain) {
      result = WithReason(std::move(result), error.reason());
    } else if (any.type_url() == kRetryInfoUrl && retry.ParseFromString(any.value())) {
      result = WithRetryAfter(std::move(result), absl::Seconds(retry.retry_delay().seconds()) +
                                                     absl::Nanoseconds(retry.retry_delay().nanos()));
    } else if (any.type_url() == kRequestInfoUrl && request.ParseFromString(any.value())) {
      result = WithRequestId(std::move(result), request.request_id());
    }
  }
  return result;
}

absl::Status FromUncancelledCall(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::CANCELLED) return FromGrpc(status);
  return absl::UnavailableError(absl::StrCat("the server ended the call: ", status.error_message()));
}

bool IsRetryable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || RateLimitOf(status) > absl::ZeroDuration();
}

}  // namespace muster
