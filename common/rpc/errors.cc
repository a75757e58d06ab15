#include "common/rpc/errors.h"

#include <google/protobuf/any.pb.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "google/rpc/status.pb.h"

namespace muster {
namespace {

// The types that other gRPC clients know these details by.
constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";
constexpr std::string_view kDomain = "muster";

template <typename Message>
void AddDetail(const char* url, const Message& message, google::rpc::Status& details) {
  google::protobuf::Any& any = *details.add_details();
  any.set_type_url(url);
  any.set_value(message.SerializeAsString());
}

// A message travels in the trailing metadata, which clients refuse whole above 8 KiB; every byte of it may take three,
// and with a reason it stands there twice. Messages that quote what a caller sent may be of any length.
constexpr size_t kMaxMessage = 1024;

std::string Shortened(absl::string_view message) {
  if (message.size() <= kMaxMessage) return std::string(message);
  size_t end = kMaxMessage;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;  // between two characters
  return absl::StrCat(message.substr(0, end), "…");
}

}  // namespace

// Both enumerations are the canonical codes with the same numbers.
grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string reason = ReasonOf(status);
  const std::optional<absl::Duration> wait = RetryAfterOf(status);
  const std::string message = Shortened(status.message());
  if (reason.empty() && !wait.has_value()) return grpc::Status(code, message);
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  if (!reason.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain(std::string(kDomain));
    AddDetail(kErrorInfoUrl, info, details);
  }
  if (wait.has_value()) {
    google::rpc::RetryInfo retry;
    absl::Duration rest;
    retry.mutable_retry_delay()->set_seconds(absl::IDivDuration(*wait, absl::Seconds(1), &rest));
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
    AddDetail(kRetryInfoUrl, retry, details);
  }
  return grpc::Status(code, message, details.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo info;
    if (any.type_url() == kErrorInfoUrl && info.ParseFromString(any.value()) && info.domain() == kDomain) {
      result = WithReason(std::move(result), info.reason());
    }
    google::rpc::RetryInfo retry;
    if (any.type_url() == kRetryInfoUrl && retry.ParseFromString(any.value())) {
      result = WithRetryAfter(std::move(result), absl::Seconds(retry.retry_delay().seconds()) +
                                                     absl::Nanoseconds(retry.retry_delay().nanos()));
    }
  }
  return result;
}

bool IsRetryable(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

}  // namespace muster
