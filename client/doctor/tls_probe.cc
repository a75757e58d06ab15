#include "client/doctor/tls_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/process/child_process.h"
#include "common/rpc/certificate_folder.h"
#include "common/rpc/x509.h"
#include "common/status.h"

namespace muster {
namespace {

std::string OpenSslError() {
  char text[256] = "unknown";
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "the connection was closed";
  ERR_error_string_n(code, text, sizeof(text));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : text;
}

PeerCertificate FactsOf(X509* certificate) {
  PeerCertificate facts;
  facts.role = SubjectEntry(certificate, NID_organizationalUnitName);
  facts.name = SubjectEntry(certificate, NID_commonName);
  facts.hosts = HostsOf(certificate);
  facts.begins = NotBefore(certificate);
  facts.expires = NotAfter(certificate);
  return facts;
}

// A connected socket, or the reason why the connection failed.
absl::StatusOr<OwnedFd> Connect(const std::string& address, absl::Duration within) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return absl::InvalidArgumentError("it is not HOST:PORT");
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int error = getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &list); error != 0) {
    return absl::NotFoundError(absl::StrCat("the name \"", host, "\" is not known: ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  std::string last = "no address";
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    OwnedFd fd(socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int error = connect(fd.get(), entry->ai_addr, entry->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      pollfd waiting = {fd.get(), POLLOUT, 0};
      socklen_t length = sizeof(error);
      if (poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(within))) != 1) {
        error = ETIMEDOUT;
      } else {
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
      }
    }
    if (error == 0) return fd;
    last = std::strerror(error);
  }
  return absl::UnavailableError(last);
}

// Reads and writes of a blocking socket, bounded in time.
void Block(int fd, absl::Duration within) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  const timeval limit = absl::ToTimeval(within);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

void Handshake(int fd, const SecurityOptions& security, TlsFacts& facts) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  const std::filesystem::path& folder = security.certificates;
  const CertificateLayout layout = LayoutOf(folder);
  SSL_CTX_load_verify_locations(context.get(), (folder / layout.authority).c_str(), nullptr);
  SSL_CTX_use_certificate_chain_file(context.get(), (folder / layout.certificate).c_str());
  SSL_CTX_use_PrivateKey_file(context.get(), (folder / layout.key).c_str(), SSL_FILETYPE_PEM);
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), kHttp2, sizeof(kHttp2));
  ERR_clear_error();
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), &SSL_free);
  SSL_set_fd(ssl.get(), fd);
  if (SSL_connect(ssl.get()) != 1) {
    facts.handshake_error = OpenSslError();
  } else {
    // In TLS 1.3 the server's first answer shows whether it accepts our certificate.
    char byte;
    errno = 0;
    const int count = SSL_read(ssl.get(), &byte, 1);
    const bool silent = count <= 0 && errno == EAGAIN;  // the server sent nothing, so it has not refused the certificate
    if (count <= 0 && !silent) facts.handshake_error = OpenSslError();
  }
  const CertificatePtr peer(SSL_get1_peer_certificate(ssl.get()));
  if (peer == nullptr) return;
  facts.server = FactsOf(peer.get());
  if (const long verdict = SSL_get_verify_result(ssl.get()); verdict != X509_V_OK) {
    facts.server->distrust = X509_verify_cert_error_string(verdict);
  }
}

}  // namespace

TlsFacts ProbeTls(const std::string& address, const SecurityOptions& security, absl::Duration within) {
  TlsFacts facts;
  const absl::StatusOr<OwnedFd> fd = Connect(address, within);
  if (!fd.ok()) {
    facts.tcp_error = std::string(fd.status().message());
    return facts;
  }
  if (security.insecure) return facts;
  Block(fd->get(), within);
  Handshake(fd->get(), security, facts);
  return facts;
}

absl::StatusOr<std::optional<PeerCertificate>> ReadCertificate(const std::filesystem::path& folder, absl::Time now) {
  ASSIGN_OR_RETURN(const CertificateFiles files, ReadCertificateFolder(folder));
  if (files.certificate.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(const auto authorities, CertificatesFromPem(files.authority));
  ASSIGN_OR_RETURN(auto chain, CertificatesFromPem(files.certificate));
  const CertificatePtr own = std::move(chain.front());
  chain.erase(chain.begin());
  PeerCertificate facts = FactsOf(own.get());
  facts.distrust = std::string(VerifyChain(own.get(), chain, authorities, now).message());
  return facts;
}

}  // namespace muster
