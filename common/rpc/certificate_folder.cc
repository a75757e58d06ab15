#include "common/rpc/certificate_folder.h"

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/rpc/x509.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr CertificateLayout kOwn;
constexpr CertificateLayout kCertManager = {"ca.crt", "tls.crt", "tls.key"};

absl::Status CheckPair(const std::filesystem::path& folder, const CertificateLayout& layout,
                       const CertificateFiles& files) {
  const auto certificates = CertificatesFromPem(files.certificate);
  if (!certificates.ok()) return WithContext(certificates.status(), (folder / layout.certificate).string());
  const auto key = KeyFromPem(files.key);
  if (!key.ok()) return WithContext(key.status(), (folder / layout.key).string());
  if (X509_check_private_key(certificates->front().get(), key->get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(folder.string(), ": ", layout.key, " is not the key of ",
                                                   layout.certificate, ". Write both of one issue."));
  }
  return absl::OkStatus();
}

}  // namespace

CertificateLayout LayoutOf(const std::filesystem::path& folder) {
  std::error_code error;
  const bool other = !std::filesystem::exists(folder / kOwn.authority, error) &&
                     std::filesystem::exists(folder / kCertManager.authority, error);
  return other ? kCertManager : kOwn;
}

absl::StatusOr<CertificateFiles> ReadCertificateFolder(const std::filesystem::path& folder) {
  const CertificateLayout layout = LayoutOf(folder);
  CertificateFiles files;
  ASSIGN_OR_RETURN(files.authority, ReadFile(folder / layout.authority));
  const auto authorities = CertificatesFromPem(files.authority);
  if (!authorities.ok()) return WithContext(authorities.status(), (folder / layout.authority).string());
  std::error_code error;
  if (!std::filesystem::exists(folder / layout.certificate, error) &&
      !std::filesystem::exists(folder / layout.key, error)) {
    return files;
  }
  ASSIGN_OR_RETURN(files.certificate, ReadFile(folder / layout.certificate));
  ASSIGN_OR_RETURN(files.key, ReadFile(folder / layout.key));
  RETURN_IF_ERROR(CheckPair(folder, layout, files));
  return files;
}

absl::StatusOr<CertificateFacts> FactsOf(const CertificateFiles& files) {
  ASSIGN_OR_RETURN(const auto certificates, CertificatesFromPem(files.certificate));
  X509* own = certificates.front().get();
  return CertificateFacts{PrincipalOf(own), NotBefore(own), NotAfter(own)};
}

}  // namespace muster
