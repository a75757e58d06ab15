#include "client/doctor/unreachable.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/clock.h"
#include "common/rpc/certificate_folder.h"

namespace muster {
namespace {

constexpr absl::Duration kLookWithin = absl::Seconds(1);

// The problem with the server's certificate; "" if it is trusted.
std::string WrongServer(const Endpoint& endpoint, const PeerCertificate& server) {
  const std::filesystem::path& folder = endpoint.security.certificates;
  const std::string authority = (folder / LayoutOf(folder).authority).string();
  const absl::Time now = RealClock().Now();
  if (server.expires <= now) {
    return absl::StrCat("the server's certificate expired on ", ShownDate(server.expires),
                        ". Renew it: muster certs renew.");
  }
  if (server.begins > now) {
    return absl::StrCat("the server's certificate is valid only from ", ShownDate(server.begins),
                        " on. Check the clocks of both hosts.");
  }
  if (!server.distrust.empty()) {
    return absl::StrCat("the server's certificate is not signed by ", authority, " (", server.distrust,
                        "). Give --certs the folder that was issued for this cluster.");
  }
  const std::string host = HostOf(endpoint.address);
  for (const std::string& name : server.hosts) {
    if (CoversHost(name, host)) return "";
  }
  return absl::StrCat("the server's certificate is for ", absl::StrJoin(server.hosts, ", "), ", not for ", host,
                      ". Use one of these names in --address, or issue it with --host ", host, ".");
}

}  // namespace

std::string DescribeUnreachable(const Endpoint& endpoint, const TlsFacts& facts, bool speaks_tls) {
  const std::string& address = endpoint.address;
  if (!facts.tcp_error.empty()) {
    if (!endpoint.remembered_state.empty()) {
      return absl::StrCat(address, ": ", facts.tcp_error, ". The cluster that muster local ran there has ended. Start it again: ",
                          "muster local --state ", endpoint.remembered_state, "; or name another with --address.");
    }
    return absl::StrCat(address, ": ", facts.tcp_error, ". Is the cluster running, and is the address right?");
  }
  if (endpoint.security.insecure) {
    return speaks_tls ? absl::StrCat(address, ": the server uses TLS. Give --certs DIR instead of --insecure.") : "";
  }
  if (facts.server.has_value()) {
    if (const std::string wrong = WrongServer(endpoint, *facts.server); !wrong.empty()) {
      return absl::StrCat(address, ": ", wrong);
    }
    if (!facts.handshake_error.empty()) {
      return absl::StrCat(address, ": the server refuses the certificate in ", endpoint.security.certificates.string(),
                          " (", facts.handshake_error, "). Is it of this cluster's authority, and still valid?");
    }
    return "";
  }
  if (absl::StrContains(facts.handshake_error, "wrong version number")) {
    return absl::StrCat(address, ": the server does not use TLS. Is it another service's port, or a cluster that was ",
                        "started with --insecure?");
  }
  return "";
}

std::string WhyUnreachable(const ConnectionFlags& flags, const std::string& text) {
  const absl::StatusOr<Endpoint> endpoint = Connection::Where(flags);
  if (!endpoint.ok()) return text;
  const TlsFacts facts = ProbeTls(endpoint->address, endpoint->security, kLookWithin);
  bool speaks_tls = false;
  if (endpoint->security.insecure && facts.tcp_error.empty()) {
    speaks_tls = ProbeTls(endpoint->address, {.certificates = "/nonexistent"}, kLookWithin).server.has_value();
  }
  const std::string why = DescribeUnreachable(*endpoint, facts, speaks_tls);
  return why.empty() ? text : why;
}

}  // namespace muster
