// When the certificate that this process shows ends, for its metrics.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "common/metrics/registry.h"

namespace muster {

// Keeps muster_certificate_expiry_timestamp_seconds at the end of the folder's own certificate (seconds since 1970), now
// and whenever it is replaced, for as long as the registry lives. There is no such metric with an empty folder (an
// insecure process) and with one without a certificate (a process that shows a token).
absl::Status PublishCertificateExpiry(const std::filesystem::path& certificates, MetricRegistry& metrics);

}  // namespace muster
