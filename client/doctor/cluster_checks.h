// Judges facts about a cluster. Pure: cluster_probe and tls_probe collect the facts.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/doctor/finding.h"
#include "muster/v1/cluster.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct PeerCertificate {
  std::string role, name;          // organizational unit, common name
  std::vector<std::string> hosts;  // subject alternative names
  absl::Time begins, expires;
  std::string distrust;  // why the authority does not verify it; empty: it does
};

std::string ShownDate(absl::Time time);          // "2026-03-01 12:00 UTC"
std::string HostOf(const std::string& address);  // the host in HOST:PORT, without the brackets of IPv6

// Whether a name in a certificate covers `host`; "*.pool" covers one label.
bool CoversHost(const std::string& pattern, const std::string& host);

// `what`: "your certificate", "the coordinator's certificate". `roles`: the accepted ones; `host`: the name by which the server
// is addressed, empty for a client's certificate.
Findings CheckCertificate(const std::string& what, const PeerCertificate& certificate,
                          const std::vector<std::string>& roles, const std::string& host, absl::Time now);

// The answer to a call, and how far a plain TCP connection and TLS handshake got.
struct ReachFacts {
  std::string address;
  std::string tcp_error;        // empty: connected
  std::string handshake_error;  // empty: the handshake succeeded, or there is none (insecure)
  absl::Status answer;          // of a first call
};
Finding CheckReach(const std::string& server, const ReachFacts& facts);

// `difference`: the server's clock minus this host's; `round_trip`: its uncertainty.
Finding CheckClock(const std::string& server, absl::Duration difference, absl::Duration round_trip);

Finding CheckVersion(const std::string& server, const std::string& version, const std::string& own);

// One line for each worker that needs attention, one for all others.
Findings CheckWorkers(const muster::v1::ListWorkersResponse& workers, const std::string& own_version, absl::Time now);

// One line for each waiting job that these workers could not run even if they were idle; one line if there is none.
Findings CheckJobs(const std::vector<muster::v1::Job>& active, const muster::v1::ListWorkersResponse& workers);

}  // namespace muster
