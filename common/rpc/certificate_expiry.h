// Reports when the certificate that this process presents expires.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "common/metrics/registry.h"

namespace muster {

// Sets muster_certificate_expiry_timestamp_seconds to the expiry of the folder's own certificate (seconds since 1970),
// now and whenever it is replaced, for as long as the registry lives. The metric does not exist for an empty folder (an
// insecure process) or a folder without a certificate (a process that presents a token).
absl::Status PublishCertificateExpiry(const std::filesystem::path& certificates, MetricRegistry& metrics);

}  // namespace muster
