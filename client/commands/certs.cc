// muster certs init DIR, muster certs issue AUTHORITY --role R --name N --out DIR
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "common/exit_code.h"
#include "common/rpc/certificates.h"
#include "common/status.h"

namespace muster {
namespace {

struct IssueFlags {
  std::string authority, role, name, out;
  std::vector<std::string> hosts;
  int days = 365;
};

absl::StatusOr<int> Init(const std::string& folder, int days) {
  const absl::Status status = MakeAuthority(folder, absl::Hours(24) * days);
  if (!status.ok()) return WithContext(status, "certs init");
  std::printf("%s/ca.pem, ca-key.pem: an authority. Keep ca-key.pem where only you can read it.\n", folder.c_str());
  return kExitSucceeded;
}

absl::StatusOr<int> Issue(const IssueFlags& flags) {
  CertificateRequest request;
  request.role = RoleFromName(flags.role);
  request.name = flags.name;
  if (!flags.hosts.empty()) request.hosts = flags.hosts;
  request.lifetime = absl::Hours(24) * flags.days;
  const absl::Status status = IssueCertificate(flags.authority, request, flags.out);
  if (!status.ok()) return WithContext(status, "certs issue");
  std::printf("%s/ca.pem, cert.pem, key.pem: %s \"%s\", valid for %d days.\n", flags.out.c_str(), flags.role.c_str(),
              flags.name.c_str(), flags.days);
  return kExitSucceeded;
}

}  // namespace

void AddCertsCommands(CLI::App& app, Cli& cli) {
  CLI::App* certs = app.add_subcommand("certs", "Make an authority, issue certificates")->fallthrough();
  certs->require_subcommand(1);

  auto folder = std::make_shared<std::string>();
  auto days = std::make_shared<int>(3650);
  CLI::App* init = certs->add_subcommand("init", "Make an authority; one that is there already is kept")->fallthrough();
  init->add_option("dir", *folder, "Folder for ca.pem and ca-key.pem")->required()->type_name("DIR");
  init->add_option("--days", *days, "Lifetime")->type_name("DAYS")->check(CLI::Range(1, 36500))->capture_default_str();
  init->callback([&cli, folder, days] { cli.action = [folder, days] { return Init(*folder, *days); }; });

  auto flags = std::make_shared<IssueFlags>();
  CLI::App* issue = certs->add_subcommand("issue", "Issue a certificate of an authority")->fallthrough();
  issue->add_option("authority", flags->authority, "Folder of the authority")->required()->type_name("DIR");
  issue->add_option("--role", flags->role, "user, coordinator, data or worker")
      ->required()
      ->check(CLI::IsMember({"user", "coordinator", "data", "worker"}));
  issue->add_option("--name", flags->name, "Who it is")->required();
  issue->add_option("--out", flags->out, "Folder for ca.pem, cert.pem and key.pem")->required()->type_name("DIR");
  issue->add_option("--host", flags->hosts, "Name or address of a server; may be repeated (localhost, 127.0.0.1)")
      ->allow_extra_args(false);
  issue->add_option("--days", flags->days, "Lifetime")
      ->type_name("DAYS")
      ->check(CLI::Range(1, 36500))
      ->capture_default_str();
  issue->callback([&cli, flags] { cli.action = [flags] { return Issue(*flags); }; });
}

}  // namespace muster
