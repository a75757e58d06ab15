#include "common/rpc/certificates.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/rpc/certificate_folder.h"
#include "common/rpc/x509.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("certificate: \"", value, "\" is not a valid ", OBJ_nid2ln(nid)));
  }
  return absl::OkStatus();
}

void AddSubjectEntry(X509_NAME* subject, const char* field, std::string_view value) {
  X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

// Version 3, with a random serial number of 127 bits, valid from a moment ago (clocks differ) for `lifetime`, not
// signed.
absl::StatusOr<CertificatePtr> NewCertificate(EVP_PKEY* key, absl::Duration lifetime) {
  CertificatePtr certificate(X509_new());
  const NumberPtr serial(BN_new());
  if (certificate == nullptr || serial == nullptr || BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, 0) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) == nullptr ||
      X509_set_version(certificate.get(), X509_VERSION_3) != 1 || X509_set_pubkey(certificate.get(), key) != 1) {
    return OpenSslFailure("make a certificate");
  }
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -300);
  const int64_t seconds = absl::ToInt64Seconds(lifetime);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(seconds / 86400), seconds % 86400, nullptr);
  return certificate;
}

absl::Status WriteAuthority(const std::filesystem::path& folder, absl::Duration lifetime) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSslFailure("make a key");
  ASSIGN_OR_RETURN(const CertificatePtr certificate, NewCertificate(key.get(), lifetime));
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  AddSubjectEntry(subject, "O", "Muster");
  // Two authorities never have the same name, so a peer that trusts one of them reports the other as unknown, not as
  // "bad signature".
  ASN1_INTEGER* serial = X509_get_serialNumber(certificate.get());
  const NumberPtr number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* digits = BN_bn2hex(number.get());
  AddSubjectEntry(subject, "CN", absl::StrCat("Muster authority ", absl::string_view(digits).substr(0, 16)));
  OPENSSL_free(digits);
  X509_set_issuer_name(certificate.get(), subject);
  X509* self = certificate.get();
  RETURN_IF_ERROR(AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  RETURN_IF_ERROR(AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign"));
  RETURN_IF_ERROR(AddExtension(self, self, NID_subject_key_identifier, "hash"));
  if (X509_sign(self, key.get(), EVP_sha256()) == 0) return OpenSslFailure("sign a certificate");
  ASSIGN_OR_RETURN(const std::string key_pem, PemOf(key.get()));
  ASSIGN_OR_RETURN(const std::string certificate_pem, PemOf(self));
  RETURN_IF_ERROR(WriteFileAtomically(folder / "ca-key.pem", key_pem, 0600));
  return WriteFileAtomically(folder / "ca.pem", certificate_pem);
}

struct Authority {
  KeyPtr key;
  CertificatePtr certificate;
  std::string pem;
};

absl::StatusOr<Authority> ReadAuthority(const std::filesystem::path& folder) {
  Authority authority;
  ASSIGN_OR_RETURN(authority.pem, ReadFile(folder / "ca.pem"));
  ASSIGN_OR_RETURN(const std::string key_pem, ReadFile(folder / "ca-key.pem"));
  auto certificates = CertificatesFromPem(authority.pem);
  auto key = KeyFromPem(key_pem);
  if (!certificates.ok() || !key.ok() || X509_check_private_key(certificates->front().get(), key->get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder.string(), ": ca.pem and ca-key.pem are not an authority. Make one with muster certs init in a new folder."));
  }
  authority.certificate = std::move(certificates->front());
  authority.key = *std::move(key);
  return authority;
}

// "DNS:localhost,IP:127.0.0.1"
std::string AlternativeNames(const std::vector<std::string>& hosts) {
  return absl::StrJoin(hosts, ",", [](std::string* out, const std::string& host) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
    absl::StrAppend(out, address != nullptr ? "IP:" : "DNS:", host);
    ASN1_OCTET_STRING_free(address);
  });
}

absl::Status CheckRequest(const CertificateRequest& request) {
  if (request.role == Role::kUnknown) {
    return absl::InvalidArgumentError("certificate: a role is missing. One of viewer, submitter, operator, worker, coordinator, data.");
  }
  if (request.name.empty() || request.name.size() > 64) {
    return absl::InvalidArgumentError("certificate: the name must have 1 to 64 characters.");
  }
  for (const std::string& host : request.hosts) {
    if (host.empty() || host.find_first_of(", \t\n") != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("certificate: \"", host, "\" is not a host name or address."));
    }
  }
  if (request.lifetime < absl::Seconds(1)) return absl::InvalidArgumentError("certificate: the lifetime is too short.");
  return absl::OkStatus();
}

absl::StatusOr<CertificateFiles> MakeCertificate(const std::filesystem::path& folder, const CertificateRequest& request) {
  RETURN_IF_ERROR(CheckRequest(request));
  ASSIGN_OR_RETURN(const Authority authority, ReadAuthority(folder));
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSslFailure("make a key");
  ASSIGN_OR_RETURN(const CertificatePtr certificate, NewCertificate(key.get(), request.lifetime));
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  AddSubjectEntry(subject, "O", "Muster");
  AddSubjectEntry(subject, "OU", RoleName(request.role));
  AddSubjectEntry(subject, "CN", request.name);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority.certificate.get()));
  X509* own = certificate.get();
  X509* issuer = authority.certificate.get();
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_basic_constraints, "critical,CA:FALSE"));
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_key_usage, "critical,digitalSignature"));
  // Clients accept no other role's certificate as a server's, whatever hosts it names.
  const bool serves = request.role == Role::kCoordinator || request.role == Role::kData;
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_ext_key_usage, serves ? "serverAuth,clientAuth" : "clientAuth"));
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_subject_key_identifier, "hash"));
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_authority_key_identifier, "keyid:always"));
  if (!request.hosts.empty()) {
    RETURN_IF_ERROR(AddExtension(own, issuer, NID_subject_alt_name, AlternativeNames(request.hosts)));
  }
  if (X509_sign(own, authority.key.get(), EVP_sha256()) == 0) return OpenSslFailure("sign a certificate");
  ASSIGN_OR_RETURN(const std::string key_pem, PemOf(key.get()));
  ASSIGN_OR_RETURN(const std::string certificate_pem, PemOf(own));
  return CertificateFiles{authority.pem, certificate_pem, key_pem};
}

absl::Status WriteCertificateFolder(const std::filesystem::path& folder, const CertificateLayout& layout,
                                    const CertificateFiles& files) {
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(WriteFileAtomically(folder / layout.key, files.key, 0600));
  RETURN_IF_ERROR(WriteFileAtomically(folder / layout.certificate, files.certificate));
  return WriteFileAtomically(folder / layout.authority, files.authority);
}

}  // namespace

absl::Status MakeAuthority(const std::filesystem::path& folder, absl::Duration lifetime) {
  std::error_code error;
  const bool has_certificate = std::filesystem::exists(folder / "ca.pem", error);
  const bool has_key = std::filesystem::exists(folder / "ca-key.pem", error);
  if (has_certificate && has_key) return absl::OkStatus();
  if (has_certificate) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder.string(), ": has ca.pem but not its ca-key.pem. Use the folder that has both, or a new one."));
  }
  RETURN_IF_ERROR(MakeFolders(folder));
  return WriteAuthority(folder, lifetime);
}

absl::Status IssueCertificate(const std::filesystem::path& folder, const CertificateRequest& request,
                              const std::filesystem::path& target) {
  ASSIGN_OR_RETURN(const CertificateFiles files, MakeCertificate(folder, request));
  return WriteCertificateFolder(target, CertificateLayout(), files);
}

absl::Status RenewCertificate(const std::filesystem::path& authority, const std::filesystem::path& folder,
                              absl::Duration lifetime, bool keep_authorities) {
  ASSIGN_OR_RETURN(const CertificateFiles before, ReadCertificateFolder(folder));
  if (before.certificate.empty()) {
    return absl::NotFoundError(absl::StrCat(folder.string(), ": has no certificate. Issue one with muster certs issue."));
  }
  ASSIGN_OR_RETURN(const auto certificates, CertificatesFromPem(before.certificate));
  const Principal subject = PrincipalOf(certificates.front().get());
  CertificateRequest request = {subject.role, subject.name, HostsOf(certificates.front().get()), lifetime};
  ASSIGN_OR_RETURN(CertificateFiles files, MakeCertificate(authority, request));
  if (keep_authorities) files.authority = before.authority;
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(folder, error);
  ASSIGN_OR_RETURN(const std::filesystem::path next, MakeScratchFolder(real.parent_path(), ".renewed"));
  std::filesystem::copy(real, next, std::filesystem::copy_options::recursive, error);
  if (!error) std::filesystem::permissions(next, std::filesystem::status(real).permissions(), error);
  absl::Status status = error ? absl::ErrnoToStatus(error.value(), folder.string())
                              : WriteCertificateFolder(next, LayoutOf(real), files);
  if (status.ok() && renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, real.c_str(), RENAME_EXCHANGE) != 0) {
    status = absl::ErrnoToStatus(errno, absl::StrCat(folder.string(), ": cannot be replaced. Is it a mount?"));
  }
  std::filesystem::remove_all(next, error);
  return status;
}

absl::Status TrustAuthorities(const std::filesystem::path& folder,
                              const std::vector<std::filesystem::path>& authorities) {
  std::string bundle;
  for (const std::filesystem::path& authority : authorities) {
    ASSIGN_OR_RETURN(const std::string pem, ReadFile(authority / LayoutOf(authority).authority));
    const auto certificates = CertificatesFromPem(pem);
    if (!certificates.ok()) return WithContext(certificates.status(), authority.string());
    bundle += pem;
  }
  RETURN_IF_ERROR(MakeFolders(folder));
  return WriteFileAtomically(folder / LayoutOf(folder).authority, bundle);
}

}  // namespace muster
