// When the certificate that this process shows ends, for its metrics.
#pragma once

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <filesystem>
#include <memory>

#include "absl/status/status.h"

namespace muster {

// Keeps `gauge`, of `registry`, at the end of the folder's own certificate (seconds since 1970), now and whenever it is
// replaced, for as long as the registry lives. An empty folder (an insecure process) and one without a certificate
// leave the gauge alone.
absl::Status PublishCertificateExpiry(const std::filesystem::path& certificates,
                                      const std::shared_ptr<prometheus::Registry>& registry, prometheus::Gauge& gauge);

}  // namespace muster
