#include "client/call.h"

#include <openssl/rand.h>

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace muster {

bool IsWrongCertificate(const absl::Status& status) {
  const std::string text = absl::AsciiStrToLower(status.message());  // matches OpenSSL's and BoringSSL's error texts
  return absl::IsUnavailable(status) && (absl::StrContains(text, "certificate verify failed") ||
                                         absl::StrContains(text, "certificate_verify_failed"));
}

absl::Status ExplainUnreachable(const absl::Status& status) {
  if (!absl::IsUnavailable(status) || ReasonOf(status) == "SHUTTING_DOWN") return status;
  return absl::UnavailableError(absl::StrCat("the cluster does not answer: ", status.message(),
                                             ". Is it running, and are address and certificates right?"));
}

std::string NewRequestId() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  bytes[6] = (bytes[6] & 0x0F) | 0x40;
  bytes[8] = (bytes[8] & 0x3F) | 0x80;
  const std::string hex = absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-", hex.substr(16, 4), "-",
                      hex.substr(20));
}

std::string RequestIdOr(const std::string& given) { return given.empty() ? NewRequestId() : given; }

}  // namespace muster
