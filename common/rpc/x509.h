// Smart pointers for OpenSSL's objects, and the few functions on them that Muster needs.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/principal.h"

namespace muster {

template <typename T, auto Free>
struct OpenSslFree {
  void operator()(T* object) const { Free(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY, &EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, OpenSslFree<X509, &X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpenSslFree<X509_EXTENSION, &X509_EXTENSION_free>>;
using MemoryPtr = std::unique_ptr<BIO, OpenSslFree<BIO, &BIO_free_all>>;
using NumberPtr = std::unique_ptr<BIGNUM, OpenSslFree<BIGNUM, &BN_free>>;

// INTERNAL: "OpenSSL: cannot WHAT".
absl::Status OpenSslFailure(absl::string_view what);

// Every certificate of a PEM text, in order; other blocks are skipped. INVALID_ARGUMENT: there is none, or one is
// truncated or not a certificate.
absl::StatusOr<std::vector<CertificatePtr>> CertificatesFromPem(std::string_view pem);
absl::StatusOr<KeyPtr> KeyFromPem(std::string_view pem);
absl::StatusOr<std::string> PemOf(EVP_PKEY* key);
absl::StatusOr<std::string> PemOf(X509* certificate);

// The text of the subject's entry; empty if there is none.
std::string SubjectEntry(X509* certificate, int nid);
// The subject alternative names: names and addresses at which a server is reached.
std::vector<std::string> HostsOf(X509* certificate);
// Organizational unit = role, common name = name.
Principal PrincipalOf(X509* certificate);
absl::Time NotBefore(X509* certificate);
absl::Time NotAfter(X509* certificate);

// Whether `leaf`, with the help of `intermediates`, leads to one of the authorities, all of them valid at `now`. The
// error has OpenSSL's text.
absl::Status VerifyChain(X509* leaf, const std::vector<CertificatePtr>& intermediates,
                         const std::vector<CertificatePtr>& authorities, absl::Time now);

}  // namespace muster
