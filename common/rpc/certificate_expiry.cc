#include "common/rpc/certificate_expiry.h"

#include "absl/time/time.h"
#include "common/rpc/certificate_watch.h"
#include "common/status.h"

namespace muster {

absl::Status PublishCertificateExpiry(const std::filesystem::path& certificates,
                                      const std::shared_ptr<prometheus::Registry>& registry,
                                      prometheus::Gauge& gauge) {
  if (certificates.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(CertificateWatch* const watch, CertificateWatch::Of(certificates));
  // The watch lives longer than the registry.
  watch->WhenChanged([&gauge, weak = std::weak_ptr(registry)](const CertificateFiles& files) {
    const std::shared_ptr<prometheus::Registry> alive = weak.lock();
    if (alive == nullptr || files.certificate.empty()) return false;
    const absl::StatusOr<CertificateFacts> facts = FactsOf(files);
    if (facts.ok()) gauge.Set(absl::ToDoubleSeconds(facts->not_after - absl::UnixEpoch()));
    return true;
  });
  return absl::OkStatus();
}

}  // namespace muster
