#include "common/rpc/x509.h"

#include <arpa/inet.h>
#include <openssl/pem.h>

#include <ctime>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";

MemoryPtr Memory(std::string_view text) {
  return MemoryPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Bytes(BIO* memory) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return std::string(data, size);
}

absl::Time FromAsn1(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return absl::UnixEpoch();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

}  // namespace

absl::Status OpenSslFailure(absl::string_view what) {
  return absl::InternalError(absl::StrCat("OpenSSL: cannot ", what));
}

absl::StatusOr<std::vector<CertificatePtr>> CertificatesFromPem(std::string_view pem) {
  std::vector<CertificatePtr> certificates;
  for (size_t at = pem.find(kBegin); at != std::string_view::npos; at = pem.find(kBegin, at + 1)) {
    const MemoryPtr memory = Memory(pem.substr(at));
    CertificatePtr certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("certificate ", certificates.size() + 1, " is broken"));
    }
    certificates.push_back(std::move(certificate));
  }
  if (certificates.empty()) return absl::InvalidArgumentError("there is no certificate in it");
  return certificates;
}

absl::StatusOr<KeyPtr> KeyFromPem(std::string_view pem) {
  const MemoryPtr memory = Memory(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return absl::InvalidArgumentError("there is no private key in it");
  return key;
}

absl::StatusOr<std::string> PemOf(EVP_PKEY* key) {
  const MemoryPtr memory(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return OpenSslFailure("write a key");
  }
  return Bytes(memory.get());
}

absl::StatusOr<std::string> PemOf(X509* certificate) {
  const MemoryPtr memory(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(memory.get(), certificate) != 1) return OpenSslFailure("write a certificate");
  return Bytes(memory.get());
}

std::string SubjectEntry(X509* certificate, int nid) {
  char text[256];
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), nid, text, sizeof(text));
  return length > 0 ? std::string(text, length) : std::string();
}

Principal PrincipalOf(X509* certificate) {
  return {RoleFromName(SubjectEntry(certificate, NID_organizationalUnitName)), SubjectEntry(certificate, NID_commonName),
          Proof::kCertificate};
}

std::vector<std::string> HostsOf(X509* certificate) {
  std::vector<std::string> hosts;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      hosts.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         ASN1_STRING_length(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "";
      const int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
      inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof(text));
      hosts.emplace_back(text);
    }
  }
  GENERAL_NAMES_free(names);
  return hosts;
}

absl::Time NotBefore(X509* certificate) { return FromAsn1(X509_get0_notBefore(certificate)); }
absl::Time NotAfter(X509* certificate) { return FromAsn1(X509_get0_notAfter(certificate)); }

absl::Status VerifyChain(X509* leaf, const std::vector<CertificatePtr>& intermediates,
                         const std::vector<CertificatePtr>& authorities, absl::Time now) {
  std::unique_ptr<X509_STORE, OpenSslFree<X509_STORE, &X509_STORE_free>> store(X509_STORE_new());
  std::unique_ptr<X509_STORE_CTX, OpenSslFree<X509_STORE_CTX, &X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  const auto free_stack = [](STACK_OF(X509) * stack) { sk_X509_free(stack); };
  std::unique_ptr<STACK_OF(X509), decltype(free_stack)> chain(sk_X509_new_null(), free_stack);
  if (store == nullptr || context == nullptr || chain == nullptr) return OpenSslFailure("verify a certificate");
  for (const CertificatePtr& authority : authorities) X509_STORE_add_cert(store.get(), authority.get());
  for (const CertificatePtr& between : intermediates) sk_X509_push(chain.get(), between.get());
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf, chain.get()) != 1)
    return OpenSslFailure("verify a certificate");
  X509_STORE_CTX_set_time(context.get(), 0, absl::ToTimeT(now));
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  return absl::UnauthenticatedError(X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace muster
