#include "common/rpc/certificates.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* object) const { Free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, &EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509, &X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION, &X509_EXTENSION_free>>;
using Memory = std::unique_ptr<BIO, Deleter<BIO, &BIO_free_all>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BIGNUM, &BN_free>>;

absl::Status Failed(absl::string_view what) { return absl::InternalError(absl::StrCat("OpenSSL: cannot ", what)); }

std::string Bytes(BIO* memory) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return std::string(data, size);
}

absl::StatusOr<std::string> PemOf(EVP_PKEY* key) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("write a key");
  }
  return Bytes(memory.get());
}

absl::StatusOr<std::string> PemOf(X509* certificate) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(memory.get(), certificate) != 1) return Failed("write a certificate");
  return Bytes(memory.get());
}

absl::Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("certificate: \"", value, "\" is no valid ", OBJ_nid2ln(nid)));
  }
  return absl::OkStatus();
}

void AddSubjectEntry(X509_NAME* subject, const char* field, std::string_view value) {
  X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

// Version 3, a random serial number of 127 bits, valid from a little ago (clocks differ) for `lifetime`, not signed.
absl::StatusOr<Certificate> NewCertificate(EVP_PKEY* key, absl::Duration lifetime) {
  Certificate certificate(X509_new());
  const Number serial(BN_new());
  if (certificate == nullptr || serial == nullptr || BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, 0) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) == nullptr ||
      X509_set_version(certificate.get(), X509_VERSION_3) != 1 || X509_set_pubkey(certificate.get(), key) != 1) {
    return Failed("make a certificate");
  }
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -300);
  const int64_t seconds = absl::ToInt64Seconds(lifetime);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(seconds / 86400), seconds % 86400, nullptr);
  return certificate;
}

absl::Status WriteAuthority(const std::filesystem::path& folder, absl::Duration lifetime) {
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("make a key");
  ASSIGN_OR_RETURN(const Certificate certificate, NewCertificate(key.get(), lifetime));
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  AddSubjectEntry(subject, "O", "Muster");
  // Two authorities never have one name: a peer that trusts one of them then says so, not "bad signature".
  ASN1_INTEGER* serial = X509_get_serialNumber(certificate.get());
  const Number number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* digits = BN_bn2hex(number.get());
  AddSubjectEntry(subject, "CN", absl::StrCat("Muster authority ", absl::string_view(digits).substr(0, 16)));
  OPENSSL_free(digits);
  X509_set_issuer_name(certificate.get(), subject);
  X509* self = certificate.get();
  RETURN_IF_ERROR(AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  RETURN_IF_ERROR(AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign"));
  RETURN_IF_ERROR(AddExtension(self, self, NID_subject_key_identifier, "hash"));
  if (X509_sign(self, key.get(), EVP_sha256()) == 0) return Failed("sign a certificate");
  ASSIGN_OR_RETURN(const std::string key_pem, PemOf(key.get()));
  ASSIGN_OR_RETURN(const std::string certificate_pem, PemOf(self));
  RETURN_IF_ERROR(WriteFileAtomically(folder / "ca-key.pem", key_pem, 0600));
  return WriteFileAtomically(folder / "ca.pem", certificate_pem);
}

struct Authority {
  Key key;
  Certificate certificate;
  std::string pem;
};

absl::StatusOr<Authority> ReadAuthority(const std::filesystem::path& folder) {
  Authority authority;
  ASSIGN_OR_RETURN(authority.pem, ReadFile(folder / "ca.pem"));
  ASSIGN_OR_RETURN(const std::string key_pem, ReadFile(folder / "ca-key.pem"));
  const Memory certificate(BIO_new_mem_buf(authority.pem.data(), static_cast<int>(authority.pem.size())));
  const Memory key(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  authority.certificate.reset(PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr));
  authority.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
  if (authority.certificate == nullptr || authority.key == nullptr ||
      X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder.string(), ": ca.pem and ca-key.pem are no authority. Make one with muster certs init in a new folder."));
  }
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
    return absl::InvalidArgumentError("certificate: a role is missing. One of user, coordinator, data, worker.");
  }
  if (request.name.empty() || request.name.size() > 64) {
    return absl::InvalidArgumentError("certificate: the name must have 1 to 64 characters.");
  }
  for (const std::string& host : request.hosts) {
    if (host.empty() || host.find_first_of(", \t\n") != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("certificate: \"", host, "\" is no host name or address."));
    }
  }
  if (request.lifetime < absl::Seconds(1)) return absl::InvalidArgumentError("certificate: the lifetime is too short.");
  return absl::OkStatus();
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
  RETURN_IF_ERROR(CheckRequest(request));
  ASSIGN_OR_RETURN(const Authority authority, ReadAuthority(folder));
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("make a key");
  ASSIGN_OR_RETURN(const Certificate certificate, NewCertificate(key.get(), request.lifetime));
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  AddSubjectEntry(subject, "O", "Muster");
  AddSubjectEntry(subject, "OU", RoleName(request.role));
  AddSubjectEntry(subject, "CN", request.name);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority.certificate.get()));
  X509* own = certificate.get();
  X509* issuer = authority.certificate.get();
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_basic_constraints, "critical,CA:FALSE"));
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_key_usage, "critical,digitalSignature"));
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_ext_key_usage, "serverAuth,clientAuth"));
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_subject_key_identifier, "hash"));
  RETURN_IF_ERROR(AddExtension(own, issuer, NID_authority_key_identifier, "keyid:always"));
  if (!request.hosts.empty()) {
    RETURN_IF_ERROR(AddExtension(own, issuer, NID_subject_alt_name, AlternativeNames(request.hosts)));
  }
  if (X509_sign(own, authority.key.get(), EVP_sha256()) == 0) return Failed("sign a certificate");
  ASSIGN_OR_RETURN(const std::string key_pem, PemOf(key.get()));
  ASSIGN_OR_RETURN(const std::string certificate_pem, PemOf(own));
  RETURN_IF_ERROR(MakeFolders(target));
  RETURN_IF_ERROR(WriteFileAtomically(target / "key.pem", key_pem, 0600));
  RETURN_IF_ERROR(WriteFileAtomically(target / "cert.pem", certificate_pem));
  return WriteFileAtomically(target / "ca.pem", authority.pem);
}

}  // namespace muster
