// A private authority and the certificates that it issues, for mTLS between Muster's processes and users.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/security.h"

namespace muster {

struct CertificateRequest {
  Role role = Role::kUnknown;  // one must be given
  std::string name;  // for a worker also PREFIX-*, which means every worker whose name begins with PREFIX-
  std::vector<std::string> hosts = {"localhost", "127.0.0.1"};  // names and addresses of a server
  absl::Duration lifetime = absl::Hours(24 * 365);
};

// Makes `folder`/ca.pem and ca-key.pem (mode 0600; ECDSA P-256) unless both exist already.
absl::Status MakeAuthority(const std::filesystem::path& folder, absl::Duration lifetime = absl::Hours(24 * 3650));

// Issues a certificate of that authority into `target`: ca.pem, cert.pem, key.pem (mode 0600). Overwrites existing
// files.
absl::Status IssueCertificate(const std::filesystem::path& authority, const CertificateRequest& request,
                              const std::filesystem::path& target);

// Issues a new key and certificate with the subject and the hosts of the one in `folder`, and replaces the folder's
// files all at once (the folder is exchanged). `keep_authorities`: the folder keeps the authorities that it trusts;
// otherwise it trusts only the issuing one.
absl::Status RenewCertificate(const std::filesystem::path& authority, const std::filesystem::path& folder,
                              absl::Duration lifetime, bool keep_authorities);

// Makes `folder` trust exactly these authorities (folders with a ca.pem).
absl::Status TrustAuthorities(const std::filesystem::path& folder,
                              const std::vector<std::filesystem::path>& authorities);

}  // namespace muster
