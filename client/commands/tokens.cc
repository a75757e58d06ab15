// muster tokens issue|list|revoke --file F
#include "common/rpc/access/tokens.h"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/process/lock_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr size_t kIdLength = 12;  // digits of a token's hash that identify it

struct TokenFlags {
  std::filesystem::path file, out;
  std::string user, role, id;
  int days = 90;
};

absl::StatusOr<std::vector<TokenEntry>> ReadTokens(const std::filesystem::path& file) {
  const absl::StatusOr<std::string> text = ReadFile(file);
  // A file that the user named and that cannot be read is a wrong argument, not an answer of the cluster.
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  return ParseTokens(*text, file.string());
}

// One change at a time. Readers see the old or the new file.
absl::Status Change(const std::filesystem::path& file,
                    const std::function<absl::Status(std::vector<TokenEntry>&)>& change) {
  ASSIGN_OR_RETURN(const OwnedFd lock, LockFile(file.string() + ".lock", "muster tokens"));
  std::vector<TokenEntry> tokens;
  std::error_code error;
  if (std::filesystem::exists(file, error)) {
    ASSIGN_OR_RETURN(tokens, ReadTokens(file));
  }
  RETURN_IF_ERROR(change(tokens));
  return WriteFileAtomically(file, FormatTokens(tokens), 0640);
}

absl::StatusOr<int> Issue(const TokenFlags& flags) {
  const std::string secret = DrawToken();
  const absl::Time expires = RealClock().Now() + absl::Hours(24) * flags.days;
  const TokenEntry token = {flags.user, RoleFromName(flags.role), Sha256Hex(secret), expires};
  absl::Status status = CheckToken(token);
  if (status.ok()) {
    status = Change(flags.file, [&](std::vector<TokenEntry>& tokens) -> absl::Status {
      std::error_code error;
      if (!flags.out.empty() && std::filesystem::exists(flags.out, error)) {
        return absl::FailedPreconditionError(absl::StrCat(flags.out.string(),
                                                          " is there already, perhaps with a secret that is "
                                                          "in use. Choose another file, or remove it."));
      }
      // Writes the secret first, because a hash without its secret would be useless.
      if (!flags.out.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.out, secret + "\n", 0600));
      tokens.push_back(token);
      return absl::OkStatus();
    });
  }
  if (!status.ok()) return WithContext(status, "tokens issue");
  if (flags.out.empty()) std::printf("%s\n", secret.c_str());
  std::fprintf(stderr,
               "token %s: %s \"%s\", valid for %d days. It is shown once: keep it where only its user can read it.\n",
               token.sha256.substr(0, kIdLength).c_str(), flags.role.c_str(), flags.user.c_str(), flags.days);
  return kExitSucceeded;
}

absl::StatusOr<int> List(const Cli& cli, const TokenFlags& flags) {
  const auto tokens = ReadTokens(flags.file);
  if (!tokens.ok()) return WithContext(tokens.status(), "tokens list");
  const absl::Time now = RealClock().Now();
  Table table({"ID", "USER", "ROLE", "EXPIRES", "STATE"});
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const TokenEntry& token : *tokens) {
    const std::string id = token.sha256.substr(0, kIdLength), role(RoleName(token.role));
    const std::string expires = token.expires == absl::InfiniteFuture()
                                    ? "never"
                                    : absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", token.expires, absl::UTCTimeZone());
    const std::string state = now < token.expires ? "valid" : "expired";
    table.Add({id, token.user, role, expires, state});
    list.push_back({{"id", id}, {"user", token.user}, {"role", role}, {"expires", expires}, {"state", state}});
  }
  std::printf("%s", cli.output == OutputFormat::kTable
                        ? table.Text(ColumnsOfTerminal(stdout)).c_str()
                        : Format(nlohmann::ordered_json{{"tokens", list}}, cli.output).c_str());
  return kExitSucceeded;
}

absl::StatusOr<int> Revoke(const TokenFlags& flags) {
  size_t revoked = 0;
  RETURN_IF_ERROR(WithContext(ReadTokens(flags.file).status(), "tokens revoke"));
  const absl::Status status = Change(flags.file, [&](std::vector<TokenEntry>& tokens) -> absl::Status {
    revoked = std::erase_if(tokens, [&](const TokenEntry& token) {
      return flags.id.empty() ? token.user == flags.user : absl::StartsWith(token.sha256, flags.id);
    });
    if (revoked > 0) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat(flags.file.string(), ": has no such token. See muster tokens list."));
  });
  if (!status.ok()) return WithContext(status, "tokens revoke");
  std::printf("%s revoked; servers that read this file refuse them within a second or so\n",
              Plural(revoked, "token").c_str());
  return kExitSucceeded;
}

}  // namespace

void AddTokensCommands(CLI::App& app, Cli& cli) {
  CLI::App* tokens = app.add_subcommand("tokens", "Issue, list and revoke tokens, for users without a certificate")->fallthrough();
  tokens->require_subcommand(1);
  auto flags = std::make_shared<TokenFlags>();
  const auto add_file = [&](CLI::App* command) {
    command->add_option("--file", flags->file, "The servers' --tokens")->required()->type_name("FILE");
  };

  CLI::App* issue = tokens->add_subcommand("issue", "Add a token to the file, and print the secret")->fallthrough();
  add_file(issue);
  issue->add_option("--user", flags->user, "Name of the user; for a worker its name, or PREFIX-*")->required();
  issue->add_option("--role", flags->role, "viewer, submitter, operator or worker")
      ->required()
      ->check(CLI::IsMember({"viewer", "submitter", "operator", "worker"}));
  issue->add_option("--days", flags->days, "Lifetime")
      ->type_name("DAYS")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
  issue->add_option("--out", flags->out, "File for the secret, instead of printing it")->type_name("FILE");
  AsksNoCluster(issue, cli);
  PrintsItsOwnFormat(issue, cli);
  issue->callback([&cli, flags] { cli.action = [flags] { return Issue(*flags); }; });

  CLI::App* list = tokens->add_subcommand("list", "List tokens: their users, and when they expire")->fallthrough();
  add_file(list);
  AsksNoCluster(list, cli);
  list->callback([&cli, flags] { cli.action = [&cli, flags] { return List(cli, *flags); }; });

  CLI::App* revoke = tokens->add_subcommand("revoke", "Remove tokens from the file")->fallthrough();
  add_file(revoke);
  CLI::Option* user = revoke->add_option("--user", flags->user, "All tokens of this user");
  CLI::Option* id =
      revoke->add_option("--id", flags->id, "Id of the token, as tokens list shows it")->check([](const std::string& text) {
        return text.size() >= 8 ? "" : absl::StrCat("\"", text, "\" is too short. Give at least 8 digits.");
      });
  ExactlyOne(*revoke, "Which", {user, id});
  AsksNoCluster(revoke, cli);
  PrintsItsOwnFormat(revoke, cli);
  revoke->callback([&cli, flags] { cli.action = [flags] { return Revoke(*flags); }; });
}

}  // namespace muster
