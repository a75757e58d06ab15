// A folder of certificates: ca.pem, cert.pem and key.pem, or, as cert-manager writes them, ca.crt, tls.crt and tls.key.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/principal.h"

namespace muster {

struct CertificateFiles {   // PEM
  std::string authority;    // one or several authorities
  std::string certificate;  // with the chain to its authority; empty for a client that presents a token
  std::string key;
  bool operator==(const CertificateFiles&) const = default;
};

// The names of the files in this folder: ca.pem or ca.crt, and so on, whichever exist.
struct CertificateLayout {
  const char* authority = "ca.pem";
  const char* certificate = "cert.pem";
  const char* key = "key.pem";
};
CertificateLayout LayoutOf(const std::filesystem::path& folder);

// Reads the folder. The error names the file: one is missing or broken, or key and certificate do not belong together
// because the folder is being written. Certificate and key may both be absent.
absl::StatusOr<CertificateFiles> ReadCertificateFolder(const std::filesystem::path& folder);

struct CertificateFacts {
  Principal subject;
  absl::Time not_before, not_after;
};
// Facts of the folder's own certificate.
absl::StatusOr<CertificateFacts> FactsOf(const CertificateFiles& files);

}  // namespace muster
