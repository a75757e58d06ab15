#include "common/rpc/certificate_expiry.h"

#include "absl/time/time.h"
#include "common/rpc/certificate_watch.h"
#include "common/status.h"

namespace muster {

absl::Status PublishCertificateExpiry(const std::filesystem::path& certificates, MetricRegistry& metrics) {
  if (certificates.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(CertificateWatch* const watch, CertificateWatch::Of(certificates));
  if (!watch->has_certificate()) return absl::OkStatus();
  prometheus::Gauge& gauge = metrics.AddGauge("muster_certificate_expiry_timestamp_seconds");
  // The watch lives longer than the registry.
  watch->WhenChanged([&gauge, weak = std::weak_ptr(metrics.registry())](const CertificateFiles& files) {
    const std::shared_ptr<prometheus::Registry> alive = weak.lock();
    if (alive == nullptr || files.certificate.empty()) return false;
    const absl::StatusOr<CertificateFacts> facts = FactsOf(files);
    if (facts.ok()) gauge.Set(absl::ToDoubleSeconds(facts->not_after - absl::UnixEpoch()));
    return true;
  });
  return absl::OkStatus();
}

}  // namespace muster
