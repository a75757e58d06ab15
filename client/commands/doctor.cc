// muster doctor
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/doctor/cluster_probe.h"
#include "client/doctor/host_probe.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/flags/parse_flags.h"
#include "common/status.h"

namespace muster {
namespace {

const char* WordOfVerdict(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kProblem:
      return "problem";
  }
  return "problem";
}

void Print(const Findings& findings, OutputFormat format) {
  if (format != OutputFormat::kTable) {
    nlohmann::ordered_json json = {{"findings", nlohmann::ordered_json::array()}};
    for (const Finding& finding : findings) {
      json["findings"].push_back({{"state", WordOfVerdict(finding.verdict)},
                                  {"what", finding.what},
                                  {"detail", finding.detail},
                                  {"remedy", finding.remedy}});
    }
    std::printf("%s", Format(json, format).c_str());
    return;
  }
  uint64_t problems = 0, warnings = 0;
  for (const Finding& finding : findings) {
    std::printf("%-8s %s: %s\n", WordOfVerdict(finding.verdict), finding.what.c_str(), finding.detail.c_str());
    if (!finding.remedy.empty()) std::printf("         -> %s\n", finding.remedy.c_str());
    problems += finding.verdict == Verdict::kProblem;
    warnings += finding.verdict == Verdict::kWarning;
  }
  std::printf("%s, %s\n", Plural(problems, "problem").c_str(), Plural(warnings, "warning").c_str());
}

struct DoctorFlags {
  bool worker = false;
  HostExamination host;
};

absl::StatusOr<int> Examine(const Cli& cli, DoctorFlags flags) {
  Findings findings;
  absl::StatusOr<Endpoint> endpoint = Connection::Where(cli.connection);
  if (endpoint.ok()) {
    findings = ExamineCluster(*endpoint, MUSTER_VERSION);
  } else if (!flags.worker) {
    return WithContext(endpoint.status(), "doctor");
  }
  if (flags.worker) {
    if (endpoint.ok()) flags.host.coordinator = endpoint->address;
    if (flags.host.rank_binary.empty()) {
      std::error_code error;
      flags.host.rank_binary = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "muster-rank";
    }
    for (Finding& finding : ExamineHost(flags.host)) findings.push_back(std::move(finding));
  }
  Print(findings, cli.output);
  const bool wrong = std::any_of(findings.begin(), findings.end(),
                                 [](const Finding& finding) { return finding.verdict == Verdict::kProblem; });
  return wrong ? kExitJobFailed : kExitSucceeded;
}

}  // namespace

void AddDoctorCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<DoctorFlags>();
  CLI::App* doctor =
      app.add_subcommand("doctor", "Find problems of the cluster or of this host, and say what to do")->fallthrough();
  CLI::Option* worker = doctor->add_flag("--worker", flags->worker, "Also check this host, as a worker's host");
  const std::vector<CLI::Option*> of_the_host = {
      doctor->add_option("--state", flags->host.state, "State folder of the worker")->type_name("DIR"),
      doctor->add_option("--rank-binary", flags->host.rank_binary, "The rank's program; muster-rank next to this one")
          ->type_name("PATH"),
      doctor->add_option("--metrics", flags->host.metrics, "Where the worker serves metrics")
          ->type_name("HOST:PORT")
          ->capture_default_str(),
      doctor->add_option("--health", flags->host.health, "Where the worker answers probes")
          ->type_name("HOST:PORT")
          ->capture_default_str(),
      doctor->add_option("--interface", flags->host.interface, "The worker's --interface")->type_name("INTERFACE"),
      doctor->add_option("--slots", flags->host.slots, "Slots of the worker")->type_name("N"),
      doctor->add_flag("--gpu", flags->host.gpu, "The worker should have GPUs")};
  for (CLI::Option* option : of_the_host) OnlyWith(option, worker);
  doctor->callback([&cli, flags] { cli.action = [&cli, flags] { return Examine(cli, *flags); }; });
}

}  // namespace muster
