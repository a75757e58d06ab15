#include "common/rpc/security.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/crypto.h>

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/address.h"
#include "common/files.h"
#include "common/rpc/certificate_watch.h"
#include "common/rpc/metadata.h"
#include "common/rpc/x509.h"
#include "common/status.h"
#include "common/version.h"
#include "common/view.h"

namespace muster {
namespace {

// gRPC's threads may be in the middle of a handshake when main returns, so OpenSSL must not clean itself up. Only the
// first call of a process counts, so this runs before main.
[[maybe_unused]] const int kNoCleanupAtExit = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);

constexpr int kWaitingThreads = 16;
constexpr std::string_view kInsecureType = "insecure";
constexpr int kMaxMetadataBytes = 64 << 10;  // a ticket carries a chain of certificates

absl::Status CheckInsecureAddress(const std::string& address) {
  for (const absl::string_view loopback : {"127.", "localhost:", "[::1]:"}) {
    if (absl::StartsWith(address, loopback)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(address, ": insecure mode binds loopback only. Use 127.0.0.1, or certificates."));
}

// What a client adds to each of its calls. gRPC sends it only over TLS.
class CallMetadata final : public grpc::MetadataCredentialsPlugin {
 public:
  explicit CallMetadata(const SecurityOptions& security)
      : token_(security.token), token_file_(security.token_file), ticket_(security.ticket) {}
  bool IsBlocking() const override { return !token_file_.empty(); }
  const char* GetType() const override { return "muster"; }
  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    if (!ticket_.empty()) metadata->emplace(kTicketMetadata, ticket_);
    std::string token = token_;
    if (!token_file_.empty()) {
      const absl::StatusOr<std::string> text = ReadFile(token_file_);
      if (!text.ok()) return {grpc::StatusCode::UNAUTHENTICATED, std::string(text.status().message())};
      token = std::string(absl::StripAsciiWhitespace(*text));
    }
    if (!token.empty()) metadata->emplace(kTokenMetadata, absl::StrCat(ToAbsl(kBearer), token));
    return grpc::Status::OK;
  }

 private:
  const std::string token_;
  const std::filesystem::path token_file_;
  const std::string ticket_;
};

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(const SecurityOptions& security) {
  const bool token = !security.token.empty() || !security.token_file.empty();
  if (security.insecure) {
    if (token) {
      return absl::InvalidArgumentError(
          "a token is not sent over a channel without TLS. Leave the token out, or --insecure.");
    }
    return grpc::InsecureChannelCredentials();
  }
  ASSIGN_OR_RETURN(CertificateWatch* const watch, CertificateWatch::Of(security.certificates));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(watch->MakeProvider());
  options.watch_root_certs();
  if (watch->has_certificate()) options.watch_identity_key_cert_pairs();
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::experimental::TlsCredentials(options);
  if (!token && security.ticket.empty()) return credentials;
  return grpc::CompositeChannelCredentials(
      credentials, grpc::MetadataCredentialsFromPlugin(std::make_unique<CallMetadata>(security)));
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> CredentialsOfServer(const RpcServer::Options& options) {
  if (options.security.insecure) {
    RETURN_IF_ERROR(CheckInsecureAddress(options.address));
    return grpc::InsecureServerCredentials();
  }
  ASSIGN_OR_RETURN(CertificateWatch* const watch, CertificateWatch::Of(options.security.certificates));
  if (!watch->has_certificate()) {
    return absl::NotFoundError(absl::StrCat(options.security.certificates.string(),
                                            ": a server needs a certificate and its key, besides the authority's"));
  }
  grpc::experimental::TlsServerCredentialsOptions tls(watch->MakeProvider());
  tls.watch_root_certs();
  tls.watch_identity_key_cert_pairs();
  // A token alone is enough, so no certificate is demanded here; admission refuses callers that present neither.
  tls.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(tls);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const SecurityOptions& security) {
  RETURN_IF_ERROR(ParseServerAddress(address).status());  // gRPC would connect to port 34463 for 99999
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials, ClientCredentials(security));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // The minimum time for a connection, TLS handshake included: a busy host needs seconds.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetUserAgentPrefix(absl::StrCat("muster/", OwnVersionText()));
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const Options& options) {
  RETURN_IF_ERROR(WithContext(ParseListenAddress(options.address).status(), "--listen"));
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials, CredentialsOfServer(options));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  std::unique_ptr<RpcServer> result(new RpcServer());
  builder.AddListeningPort(options.address, credentials, &result->port_);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, options.measures_bandwidth ? 1 : 0);
  // Threads that have answered a call wait for the next one. With gRPC's default of 2, a server under concurrent calls starts
  // and ends a thread for nearly every call.
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, kWaitingThreads);
  grpc::ResourceQuota quota;
  quota.SetMaxThreads(options.max_threads);
  builder.SetResourceQuota(quota);
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

Principal PrincipalOf(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  const auto type = auth->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  if (type.empty() || std::string_view(type[0].data(), type[0].size()) == kInsecureType) {
    return {Role::kOperator, "anonymous", Proof::kInsecure};
  }
  const auto pem = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.empty()) return {};
  const auto certificates = CertificatesFromPem({pem[0].data(), pem[0].size()});
  return certificates.ok() ? PrincipalOf(certificates->front().get()) : Principal();
}

absl::Status CheckPeerVersion(const grpc::ServerContextBase& context) {
  const auto agent = context.client_metadata().find("user-agent");
  if (agent == context.client_metadata().end()) return absl::OkStatus();
  const auto version = VersionOfUserAgent({agent->second.data(), agent->second.size()});
  return version.has_value() ? CheckVersions("the client", *version, "this server", OwnVersion()) : absl::OkStatus();
}

}  // namespace muster
