#include "common/rpc/errors.h"

#include <google/protobuf/any.pb.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "google/rpc/status.pb.h"

namespace muster {
namespace {

// The type that other gRPC clients know ErrorInfo by.
constexpr std::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr std::string_view kDomain = "muster";

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
  const std::string message = Shortened(status.message());
  if (reason.empty()) return grpc::Status(code, message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(std::string(kDomain));
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  google::protobuf::Any& any = *details.add_details();
  any.set_type_url(std::string(kErrorInfoUrl));
  any.set_value(info.SerializeAsString());
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
      return WithReason(std::move(result), info.reason());
    }
  }
  return result;
}

bool IsRetryable(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

}  // namespace muster
