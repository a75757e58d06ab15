#include "client/doctor/cluster_checks.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/version.h"

namespace muster {
namespace {

constexpr absl::Duration kRenewWithin = absl::Hours(24 * 14);
constexpr absl::Duration kMostSkew = absl::Seconds(2);
constexpr absl::Duration kBadSkew = absl::Minutes(1);
constexpr absl::Duration kFresh = absl::Seconds(10);

std::string Days(absl::Duration duration) {
  const int64_t days = absl::ToInt64Hours(duration) / 24;
  return absl::StrCat(days, days == 1 ? " day" : " days");
}

}  // namespace

std::string ShownDate(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone()); }

std::string HostOf(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host;
}

bool CoversHost(const std::string& pattern, const std::string& host) {
  if (pattern == host) return true;
  if (!absl::StartsWith(pattern, "*.")) return false;
  const size_t dot = host.find('.');
  return dot != std::string::npos && host.substr(dot + 1) == pattern.substr(2);
}

Findings CheckCertificate(const std::string& what, const PeerCertificate& certificate,
                          const std::vector<std::string>& roles, const std::string& host, absl::Time now) {
  const std::string who = absl::StrCat(certificate.role, " ", certificate.name);
  Findings findings;
  if (certificate.expires <= now) {
    findings.push_back({Verdict::kProblem, what,
                        absl::StrCat("expired on ", ShownDate(certificate.expires), " (", who, ")"),
                        "issue a new one: muster certs issue, or let cert-manager renew it"});
  } else if (certificate.begins > now) {
    findings.push_back({Verdict::kProblem, what,
                        absl::StrCat("is valid only from ", ShownDate(certificate.begins), " on (", who, ")"),
                        "set the clock of this host, or of the one that issued it"});
  } else if (certificate.expires - now < kRenewWithin) {
    findings.push_back({Verdict::kWarning, what,
                        absl::StrCat("expires in ", Days(certificate.expires - now), " (", who, ")"),
                        "issue a new one in time; programs read it without a restart"});
  }
  if (!certificate.distrust.empty() && findings.empty()) {
    findings.push_back(
        {Verdict::kProblem, what,
         absl::StrCat("was not issued by the authority in ca.pem: ", certificate.distrust, " (", who, ")"),
         "give the folder whose ca.pem is the cluster's authority, or issue the certificate by that authority"});
  }
  if (std::find(roles.begin(), roles.end(), certificate.role) == roles.end()) {
    findings.push_back({Verdict::kProblem, what, absl::StrCat("has role \"", certificate.role, "\" (", who, ")"),
                        absl::StrCat("issue it with role ", absl::StrJoin(roles, " or "))});
  }
  if (!host.empty() && std::none_of(certificate.hosts.begin(), certificate.hosts.end(),
                                    [&](const std::string& pattern) { return CoversHost(pattern, host); })) {
    findings.push_back({Verdict::kProblem, what,
                        absl::StrCat("is for ", absl::StrJoin(certificate.hosts, ", "), ", not for ", host),
                        absl::StrCat("reach the server by one of these names, or issue it with --host ", host)});
  }
  if (findings.empty()) {
    findings.push_back({Verdict::kOk, what, absl::StrCat(who, ", expires in ", Days(certificate.expires - now)), ""});
  }
  return findings;
}

Finding CheckReach(const std::string& server, const ReachFacts& facts) {
  const std::string what = absl::StrCat(server, " at ", facts.address);
  if (!facts.tcp_error.empty()) {
    return {Verdict::kProblem, what, absl::StrCat("cannot be reached: ", facts.tcp_error),
            absl::StrCat("is it running, is the address right, and does a firewall or NetworkPolicy let port ",
                         facts.address.substr(facts.address.rfind(':') + 1), " through?")};
  }
  if (!facts.handshake_error.empty()) {
    return {Verdict::kProblem, what, absl::StrCat("TLS fails: ", facts.handshake_error),
            "see its certificate below; the port may be another service's, or --insecure is on one side only"};
  }
  if (facts.answer.ok()) return {Verdict::kOk, what, "answers", ""};
  if (absl::IsPermissionDenied(facts.answer) || absl::IsUnauthenticated(facts.answer)) {
    return {Verdict::kProblem, what, absl::StrCat("refuses you: ", facts.answer.message()),
            "use a certificate or token with a role that may"};
  }
  return {Verdict::kProblem, what, absl::StrCat("does not answer: ", facts.answer.message()),
          "see its log; if it is starting, try again in a moment"};
}

Finding CheckClock(const std::string& server, absl::Duration difference, absl::Duration round_trip) {
  const absl::Duration off = absl::AbsDuration(difference) - round_trip;
  const std::string what = absl::StrCat("clock of the ", server);
  const std::string detail =
      absl::StrCat(absl::FormatDuration(absl::Trunc(absl::AbsDuration(difference), absl::Milliseconds(1))),
                   difference < absl::ZeroDuration() ? " behind this host's" : " ahead of this host's");
  if (off <= kMostSkew) return {Verdict::kOk, what, "agrees with this host's", ""};
  return {off > kBadSkew ? Verdict::kProblem : Verdict::kWarning, what, detail,
          "run a time service (chrony) on both hosts: the validity of certificates and tokens depends on the clock"};
}

Finding CheckVersion(const std::string& server, const std::string& version, const std::string& own) {
  const std::string what = absl::StrCat("version of the ", server);
  const std::optional<Version> theirs = ParseVersion(version), ours = ParseVersion(own);
  if (!theirs.has_value() || !ours.has_value()) {
    return {Verdict::kWarning, what, "not reported: it is older than this command", "upgrade it"};
  }
  if (*theirs == *ours) return {Verdict::kOk, what, version, ""};
  const std::string detail = absl::StrCat(version, ", this command is ", own);
  if (const absl::Status status = CheckVersions(server, *theirs, "this command", *ours); !status.ok()) {
    return {Verdict::kProblem, what, detail, std::string(status.message())};
  }
  if (theirs->minor == ours->minor) return {Verdict::kOk, what, detail, ""};
  return {Verdict::kWarning, what, detail, "versions may differ by one step while an upgrade rolls; finish it"};
}

Findings CheckWorkers(const muster::v1::ListWorkersResponse& workers, const std::string& own_version, absl::Time now) {
  Findings findings;
  int well = 0, slots = 0, free = 0, takes_ranks = 0;
  for (const muster::v1::Worker& worker : workers.workers()) {
    const std::string what = absl::StrCat("worker ", worker.name());
    const absl::Time heard = absl::FromUnixSeconds(worker.last_heard().seconds());
    if (worker.state() == muster::v1::WORKER_STATE_SILENT) {
      findings.push_back({Verdict::kProblem, what, worker.reason(),
                          absl::StrCat("is host ", worker.host(),
                                       " up, is muster-worker running there, and does it reach the coordinator?")});
    } else if (worker.state() == muster::v1::WORKER_STATE_DRAINING) {
      findings.push_back({Verdict::kWarning, what, absl::StrCat("drains: ", worker.reason()),
                          absl::StrCat("muster drain ", worker.name(), " --undo, when it may take ranks again")});
    } else if (now - heard > kFresh) {
      findings.push_back({Verdict::kWarning, what,
                          absl::StrCat("last heard ", absl::ToInt64Seconds(now - heard), " s ago"),
                          "its network or its host is slow; beyond 15 s its jobs are placed elsewhere"});
    } else if (worker.slots_size() == 0) {
      findings.push_back({Verdict::kProblem, what, "has no slots", "start it with --slots"});
    } else if (Finding version = CheckVersion(what, worker.version(), own_version); version.verdict != Verdict::kOk) {
      findings.push_back(std::move(version));
    } else {
      ++well;
    }
    takes_ranks += worker.state() == muster::v1::WORKER_STATE_READY && worker.slots_size() > 0;
    for (const muster::v1::SlotInfo& slot : worker.slots()) {
      ++slots;
      free += slot.job_id().empty();
    }
  }
  if (workers.workers().empty()) {
    findings.push_back(
        {Verdict::kProblem, "workers", "there are none: jobs wait", "start muster-worker on at least one host"});
  } else if (takes_ranks == 0) {
    findings.push_back({Verdict::kProblem, "workers",
                        absl::StrCat("none of ", workers.workers_size(), " takes new ranks: jobs wait"),
                        "end a drain with muster drain WORKER --undo, or start another worker"});
  } else {
    findings.push_back(
        {Verdict::kOk, "workers",
         absl::StrCat(well, " of ", workers.workers_size(), " are well; ", slots, " slots, ", free, " free"), ""});
  }
  return findings;
}

Findings CheckJobs(const std::vector<muster::v1::Job>& active, const muster::v1::ListWorkersResponse& workers) {
  Findings findings;
  for (const muster::v1::Job& job : active) {
    if (job.phase() != muster::v1::JOB_PHASE_QUEUED && job.phase() != muster::v1::JOB_PHASE_RECOVERING) continue;
    const bool gpu = job.spec().resources().device() == muster::v1::DEVICE_GPU;
    uint32_t slots = 0;
    for (const muster::v1::Worker& worker : workers.workers()) {
      if ((worker.device() == muster::v1::DEVICE_GPU) == gpu) slots += static_cast<uint32_t>(worker.slots_size());
    }
    const uint32_t needed = job.spec().resources().slots().min();
    if (slots >= needed) continue;
    const std::string kind = gpu ? " GPU slots" : " CPU slots";
    findings.push_back(
        {Verdict::kProblem, absl::StrCat("job ", job.id(), " (", job.spec().name(), ")"),
         absl::StrCat("cannot be placed: it needs ", needed, kind, ", and all workers together have ", slots),
         absl::StrCat("start more workers, or cancel it (muster cancel ", job.id(), ") and submit it with ",
                      slots == 0 ? "another resources.device" : "a smaller resources.slots.min")});
  }
  if (findings.empty()) {
    findings.push_back({Verdict::kOk, "jobs", absl::StrCat(active.size(), " active, all of them can be placed"), ""});
  }
  return findings;
}

}  // namespace muster
