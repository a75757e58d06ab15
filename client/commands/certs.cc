// muster certs init, issue, show, renew, bundle
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/rpc/certificate_folder.h"
#include "common/rpc/certificates.h"
#include "common/rpc/x509.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

// A folder that the user named and that cannot be read is a wrong argument, not an answer of the cluster.
absl::Status Explained(const absl::Status& status, const char* command) {
  const absl::Status explained = WithContext(status, command);
  return absl::IsNotFound(status) ? absl::InvalidArgumentError(explained.message()) : explained;
}

struct IssueFlags {
  std::string authority, role, name, out;
  std::vector<std::string> hosts;
  int days = 365;
};

absl::StatusOr<int> Init(const std::string& folder, int days) {
  const absl::Status status = MakeAuthority(folder, absl::Hours(24) * days);
  if (!status.ok()) return Explained(status, "certs init");
  std::printf("%s/ca.pem, ca-key.pem: an authority. Keep ca-key.pem where only you can read it.\n", folder.c_str());
  return kExitSucceeded;
}

// A certificate of the same holder is replaced; another one's key would be lost silently.
absl::Status CheckHolder(const std::filesystem::path& folder, const CertificateRequest& request) {
  const auto files = ReadCertificateFolder(folder);
  if (!files.ok() || files->certificate.empty()) return absl::OkStatus();
  const auto chain = CertificatesFromPem(files->certificate);
  if (!chain.ok() || chain->empty()) return absl::OkStatus();
  const Principal holder = PrincipalOf(chain->front().get());
  if (holder.role == request.role && holder.name == request.name) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(folder.string(), " has the certificate of ",
                                                    ToAbsl(RoleName(holder.role)), " \"", holder.name,
                                                    "\" already. Choose another folder, or remove it."));
}

absl::StatusOr<int> Issue(const IssueFlags& flags) {
  CertificateRequest request;
  request.role = RoleFromName(flags.role);
  request.name = flags.name;
  if (const absl::Status status = CheckHolder(flags.out, request); !status.ok()) {
    return WithContext(status, "certs issue");
  }
  if (!flags.hosts.empty()) request.hosts = flags.hosts;
  request.lifetime = absl::Hours(24) * flags.days;
  const absl::Status status = IssueCertificate(flags.authority, request, flags.out);
  if (!status.ok()) return Explained(status, "certs issue");
  std::printf("%s/ca.pem, cert.pem, key.pem: %s \"%s\", valid for %d days.\n", flags.out.c_str(), flags.role.c_str(),
              flags.name.c_str(), flags.days);
  return kExitSucceeded;
}

struct Shown {
  std::string file, who, role, until, state;
};

Shown ShowOne(const std::string& file, X509* certificate, bool authority, absl::Time now) {
  const Principal subject = PrincipalOf(certificate);
  const absl::Time end = NotAfter(certificate);
  Shown shown = {file, subject.name, authority ? "authority" : std::string(RoleName(subject.role)),
                 absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", end, absl::UTCTimeZone()), "valid"};
  const auto days = absl::ToInt64Hours(end - now) / 24;
  const char* remedy = authority ? "make a new authority (docs/operate/security.md)" : "muster certs renew AUTHORITY DIR";
  if (now < NotBefore(certificate)) {
    shown.state = "not valid yet: are the clocks right?";
  } else if (now >= end) {
    shown.state = absl::StrCat("expired: ", remedy);
  } else if (days < 30) {
    shown.state = absl::StrCat("ends in ", days, " days: ", remedy);
  }
  return shown;
}

absl::StatusOr<int> Show(const Cli& cli, const std::filesystem::path& folder) {
  const auto files = ReadCertificateFolder(folder);
  if (!files.ok()) return Explained(files.status(), "certs show");
  const absl::Time now = RealClock().Now();
  const CertificateLayout layout = LayoutOf(folder);
  std::vector<Shown> all;
  ASSIGN_OR_RETURN(const auto authorities, CertificatesFromPem(files->authority));
  if (!files->certificate.empty()) {
    ASSIGN_OR_RETURN(auto chain, CertificatesFromPem(files->certificate));
    const CertificatePtr own = std::move(chain.front());
    chain.erase(chain.begin());
    all.push_back(ShowOne(layout.certificate, own.get(), false, now));
    const absl::Status led = VerifyChain(own.get(), chain, authorities, now);
    if (!led.ok() && all.back().state == "valid") {
      all.back().state = absl::StrCat("not issued by an authority in its ca.pem: ", led.message());
    }
  }
  for (const CertificatePtr& authority : authorities)
    all.push_back(ShowOne(layout.authority, authority.get(), true, now));
  Table table({"FILE", "WHO", "ROLE", "UNTIL", "STATE"});
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  bool good = true;
  for (const Shown& one : all) {
    table.Add({one.file, one.who, one.role, one.until, one.state});
    list.push_back(
        {{"file", one.file}, {"who", one.who}, {"role", one.role}, {"until", one.until}, {"state", one.state}});
    good = good && (one.state == "valid" || one.state.starts_with("ends in"));
  }
  std::printf("%s", cli.output == OutputFormat::kTable
                        ? table.Text(ColumnsOfTerminal(stdout)).c_str()
                        : Format(nlohmann::ordered_json{{"certificates", list}}, cli.output).c_str());
  return good ? kExitSucceeded : kExitJobFailed;
}

struct RenewFlags {
  std::string authority, folder;
  int days = 365;
  bool keep_bundle = false;
};

absl::StatusOr<int> Renew(const RenewFlags& flags) {
  const absl::Status status =
      RenewCertificate(flags.authority, flags.folder, absl::Hours(24) * flags.days, flags.keep_bundle);
  if (!status.ok()) return Explained(status, "certs renew");
  std::printf(
      "%s: a new key and certificate, valid for %d days. Programs that use the folder read it within seconds.\n",
      flags.folder.c_str(), flags.days);
  return kExitSucceeded;
}

absl::StatusOr<int> Bundle(const std::string& folder, const std::vector<std::filesystem::path>& authorities) {
  const absl::Status status = TrustAuthorities(folder, authorities);
  if (!status.ok()) return Explained(status, "certs bundle");
  std::printf("%s trusts %zu %s\n", folder.c_str(), authorities.size(),
              authorities.size() == 1 ? "authority" : "authorities");
  return kExitSucceeded;
}

}  // namespace

void AddCertsCommands(CLI::App& app, Cli& cli) {
  CLI::App* certs = app.add_subcommand("certs", "Make an authority, and issue certificates")->fallthrough();
  certs->require_subcommand(1);

  auto folder = std::make_shared<std::string>();
  auto days = std::make_shared<int>(3650);
  CLI::App* init = certs->add_subcommand("init", "Make an authority; an existing one is kept")->fallthrough();
  init->add_option("dir", *folder, "Folder for ca.pem and ca-key.pem")->required()->type_name("DIR");
  init->add_option("--days", *days, "Lifetime")->type_name("DAYS")->check(CLI::Range(1, 36500))->capture_default_str();
  AsksNoCluster(init, cli);
  PrintsItsOwnFormat(init, cli);
  init->callback([&cli, folder, days] { cli.action = [folder, days] { return Init(*folder, *days); }; });

  auto flags = std::make_shared<IssueFlags>();
  CLI::App* issue = certs->add_subcommand("issue", "Issue a certificate of an authority")->fallthrough();
  issue->add_option("authority", flags->authority, "Folder of the authority")->required()->type_name("DIR");
  issue->add_option("--role", flags->role, "viewer, submitter, operator, worker, coordinator or data")
      ->required()
      ->check(CLI::IsMember({"viewer", "submitter", "operator", "worker", "coordinator", "data", "user"}));
  issue->add_option("--name", flags->name, "Name of the holder; for workers also PREFIX-*, for all names with that prefix")
      ->required();
  issue->add_option("--out", flags->out, "Folder for ca.pem, cert.pem and key.pem")->required()->type_name("DIR");
  issue->add_option("--host", flags->hosts, "Name or address of a server; may be repeated (localhost, 127.0.0.1)")
      ->allow_extra_args(false);
  issue->add_option("--days", flags->days, "Lifetime")
      ->type_name("DAYS")
      ->check(CLI::Range(1, 36500))
      ->capture_default_str();
  AsksNoCluster(issue, cli);
  PrintsItsOwnFormat(issue, cli);
  issue->callback([&cli, flags] { cli.action = [flags] { return Issue(*flags); }; });

  auto shown = std::make_shared<std::string>();
  CLI::App* show = certs->add_subcommand("show", "Show whose certificates a folder has, and when they expire")->fallthrough();
  show->add_option("dir", *shown, "Folder of certificates")->required()->type_name("DIR");
  AsksNoCluster(show, cli);
  show->callback([&cli, shown] { cli.action = [&cli, shown] { return Show(cli, *shown); }; });

  auto renewed = std::make_shared<RenewFlags>();
  CLI::App* renew = certs->add_subcommand("renew", "Issue a new key and certificate for the same name")->fallthrough();
  renew->add_option("authority", renewed->authority, "Folder of the authority")->required()->type_name("DIR");
  renew->add_option("dir", renewed->folder, "Folder of certificates")->required()->type_name("DIR");
  renew->add_option("--days", renewed->days, "Lifetime")
      ->type_name("DAYS")
      ->check(CLI::Range(1, 36500))
      ->capture_default_str();
  renew->add_flag("--keep-bundle", renewed->keep_bundle, "Keep trusting the authorities that the folder trusts now");
  AsksNoCluster(renew, cli);
  PrintsItsOwnFormat(renew, cli);
  renew->callback([&cli, renewed] { cli.action = [renewed] { return Renew(*renewed); }; });

  auto target = std::make_shared<std::string>();
  auto trusted = std::make_shared<std::vector<std::filesystem::path>>();
  CLI::App* bundle = certs->add_subcommand("bundle", "Set the authorities that a folder trusts")->fallthrough();
  bundle->add_option("dir", *target, "Folder of certificates")->required()->type_name("DIR");
  bundle->add_option("authorities", *trusted, "Folders of authorities")->required()->type_name("DIR...");
  AsksNoCluster(bundle, cli);
  PrintsItsOwnFormat(bundle, cli);
  bundle->callback([&cli, target, trusted] { cli.action = [target, trusted] { return Bundle(*target, *trusted); }; });
}

}  // namespace muster
