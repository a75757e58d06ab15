#include "common/rpc/security.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/files.h"
#include "common/status.h"
#include "common/version.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr std::string_view kInsecureType = "insecure";

struct PemFiles {
  std::string authority, certificate, key;
};

absl::StatusOr<PemFiles> ReadPemFiles(const std::filesystem::path& folder) {
  PemFiles files;
  ASSIGN_OR_RETURN(files.authority, ReadFile(folder / "ca.pem"));
  ASSIGN_OR_RETURN(files.certificate, ReadFile(folder / "cert.pem"));
  ASSIGN_OR_RETURN(files.key, ReadFile(folder / "key.pem"));
  return files;
}

absl::Status CheckInsecureAddress(const std::string& address) {
  for (const absl::string_view loopback : {"127.", "localhost:", "[::1]:"}) {
    if (absl::StartsWith(address, loopback)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(address, ": insecure mode binds loopback only. Use 127.0.0.1, or certificates."));
}

std::string SubjectEntry(X509_NAME* subject, int nid) {
  char text[256];
  const int length = X509_NAME_get_text_by_NID(subject, nid, text, sizeof(text));
  return length > 0 ? std::string(text, length) : std::string();
}

Principal PrincipalFromCertificate(std::string_view pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  std::unique_ptr<X509, decltype(&X509_free)> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr),
                                                          &X509_free);
  if (certificate == nullptr) return {};
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  return {RoleFromName(SubjectEntry(subject, NID_organizationalUnitName)), SubjectEntry(subject, NID_commonName)};
}

// A peer that says its version, and is too far from this one's.
absl::Status CheckPeerVersion(const grpc::ServerContext& context) {
  const auto agent = context.client_metadata().find("user-agent");
  if (agent == context.client_metadata().end()) return absl::OkStatus();
  const auto version = VersionOfUserAgent({agent->second.data(), agent->second.size()});
  return version.has_value() ? CheckVersions("the client", *version, "this server", OwnVersion()) : absl::OkStatus();
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kUnknown: return "unknown";
    case Role::kUser: return "user";
    case Role::kCoordinator: return "coordinator";
    case Role::kData: return "data";
    case Role::kWorker: return "worker";
  }
  return "unknown";
}

Role RoleFromName(std::string_view name) {
  for (const Role role : {Role::kUser, Role::kCoordinator, Role::kData, Role::kWorker}) {
    if (RoleName(role) == name) return role;
  }
  return Role::kUnknown;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const SecurityOptions& security) {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (security.insecure) {
    credentials = grpc::InsecureChannelCredentials();
  } else {
    ASSIGN_OR_RETURN(const PemFiles files, ReadPemFiles(security.certificates));
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = files.authority;
    options.pem_cert_chain = files.certificate;
    options.pem_private_key = files.key;
    credentials = grpc::SslCredentials(options);
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // The least time that a connection, TLS handshake included, is given: a busy host needs seconds.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetUserAgentPrefix(absl::StrCat("muster/", OwnVersionText()));
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const Options& options) {
  std::shared_ptr<grpc::ServerCredentials> credentials;
  if (options.security.insecure) {
    RETURN_IF_ERROR(CheckInsecureAddress(options.address));
    credentials = grpc::InsecureServerCredentials();
  } else {
    ASSIGN_OR_RETURN(const PemFiles files, ReadPemFiles(options.security.certificates));
    grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    ssl.pem_root_certs = files.authority;
    ssl.pem_key_cert_pairs.push_back({files.key, files.certificate});
    credentials = grpc::SslServerCredentials(ssl);
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  std::unique_ptr<RpcServer> result(new RpcServer());
  builder.AddListeningPort(options.address, credentials, &result->port_);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  result->server_ = builder.BuildAndStart();
  if (result->server_ == nullptr || result->port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat(options.address,
                     ": cannot listen. Is the port taken by another process? Choose another, or 0 for a free one."));
  }
  return result;
}

void RpcServer::SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus("", serving); }

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
}

Principal PrincipalOf(const grpc::ServerContext& context) {
  const auto auth = context.auth_context();
  const auto type = auth->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  if (type.empty() || std::string_view(type[0].data(), type[0].size()) == kInsecureType) {
    return {Role::kUser, "anonymous"};
  }
  const auto pem = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.empty()) return {};
  return PrincipalFromCertificate({pem[0].data(), pem[0].size()});
}

absl::Status Require(const grpc::ServerContext& context, std::initializer_list<Role> roles) {
  RETURN_IF_ERROR(CheckPeerVersion(context));
  const Principal principal = PrincipalOf(context);
  if (principal.role == Role::kUser && principal.name == "anonymous") {
    const auto type = context.auth_context()->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
    if (type.empty() || std::string_view(type[0].data(), type[0].size()) == kInsecureType) return absl::OkStatus();
  }
  if (std::find(roles.begin(), roles.end(), principal.role) != roles.end()) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "this call is for ",
      absl::StrJoin(roles, " or ", [](std::string* out, Role role) { absl::StrAppend(out, ToAbsl(RoleName(role))); }),
      "; the certificate shows ", ToAbsl(RoleName(principal.role)), " \"", principal.name, "\""));
}

}  // namespace muster
