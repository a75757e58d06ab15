#include "client/app.h"

#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/doctor/unreachable.h"
#include "client/interrupt.h"
#include "client/local/local_command.h"
#include "client/shell/examples.h"
#include "common/exit_code.h"
#include "common/rpc/errors.h"

namespace muster {
namespace {

void AddGlobalFlags(CLI::App& app, Cli& cli) {
  app.set_version_flag("-V,--version", absl::StrCat("muster ", MUSTER_VERSION));
  CLI::Option* address =
      app.add_option("--address", cli.connection.address, "Coordinator, host:port (MUSTER_ADDRESS)")->type_name("HOST:PORT");
  CLI::Option* certs = app.add_option("--certs", cli.connection.certificates,
                                      "Folder with ca.pem, cert.pem, key.pem (MUSTER_CERTS)")
                           ->type_name("DIR");
  CLI::Option* token = app.add_option("--token-file", cli.connection.token_file,
                                      "File with a token, instead of a certificate (MUSTER_TOKEN_FILE)")
                           ->type_name("FILE");
  CLI::Option* insecure =
      app.add_flag("--insecure", cli.connection.insecure, "No TLS, for a cluster started without it on loopback");
  insecure->excludes(certs)->excludes(token);
  cli.connection_flags = {address, certs, token, insecure};
  cli.output_flag = AddChoice(app, "--output", cli.output, OutputFormats(), "How results are printed")->type_name("FORMAT");
  app.add_flag("--verbose", cli.verbose, "Print log lines of gRPC and of the connection on standard error");
}

// The note that Ctrl-C prints, for commands that set nothing more specific while they run.
std::string InterruptNote(const std::string& command) {
  if (command == "muster submit") return "submit: interrupted. If it was submitted, muster jobs lists it.";
  if (command == "muster data import") return "data import: interrupted. An import is kept completely or not at all: see muster data list.";
  if (command == "muster data add") return "data add: interrupted. An addition is kept completely or not at all: see muster data list.";
  if (command == "muster models push") {
    return "models push: interrupted. A model is pushed completely or not at all: see muster models list. Files that were sent "
           "are not sent again.";
  }
  if (command == "muster backup take") {
    return "backup take: interrupted. A backup is added completely or not at all: see muster backup list. Files that were copied "
           "are not copied again.";
  }
  if (command == "muster restore") {
    return "restore: interrupted. The new state folders are incomplete: no server starts on them. Run the same command again.";
  }
  return absl::StrCat(command, ": interrupted.");
}

}  // namespace

void AddMuster(CLI::App& app, Cli& cli) {
  app.require_subcommand(1);
  app.fallthrough();  // global flags may also come after the command
  AddGlobalFlags(app, cli);
  AddInitCommand(app, cli);
  AddExplainCommand(app, cli);
  AddSubmitCommand(app, cli);
  AddStatusCommand(app, cli);
  AddJobsCommands(app, cli);
  AddWatchCommand(app, cli);
  AddLogsCommand(app, cli);
  AddMetricsCommand(app, cli);
  AddControlCommands(app, cli);
  AddDataCommands(app, cli);
  AddModelsCommands(app, cli);
  AddExportCommand(app, cli);
  AddTraceCommand(app, cli);
  AddEvalCommand(app, cli);
  AddMineCommand(app, cli);
  AddScoreCommand(app, cli);
  AddCompareCommand(app, cli);
  AddReportCommand(app, cli);
  AddStudyCommands(app, cli);
  AddClusterCommands(app, cli);
  AddCertsCommands(app, cli);
  AddBackupCommands(app, cli);
  AddTokensCommands(app, cli);
  AddGcCommand(app, cli);
  AddOperationsCommands(app, cli);
  AddDoctorCommand(app, cli);
  AddLocalCommand(app, cli.action);
  CLI::App* local = app.get_subcommand("local");
  AsksNoCluster(local, cli);
  PrintsItsOwnFormat(local, cli);
  AddShellCommands(app, cli);
  AddVersionCommand(app, cli);
  AddExamples(app);
}

const CommandAdvice& MusterAdvice() {
  static const auto* const kAdvice = new CommandAdvice{
      {"ls", "muster jobs"},
      {"list", "muster jobs, muster data list or muster models list"},
      {"ps", "muster jobs"},
      {"show", "muster get JOB"},
      {"schema", "muster explain"},
      {"describe", "muster get JOB"},
      {"info", "muster status, or muster get JOB"},
      {"run", "muster submit JOB.yaml"},
      {"train", "muster submit JOB.yaml"},
      {"start", "muster submit JOB.yaml, or muster local to start a cluster"},
      {"stop", "muster cancel JOB or muster pause JOB"},
      {"kill", "muster cancel JOB"},
      {"delete", "muster job rm JOB, muster data rm NAME or muster models rm NAME"},
      {"rm", "muster job rm JOB, muster data rm NAME or muster models rm NAME"},
      {"import", "muster data import NAME PATH"},
      {"push", "muster models push NAME DIR"},
      {"tail", "muster logs -f JOB"},
      {"evaluate", "muster eval MODEL DATASET"},
      {"nodes", "muster workers"},
      {"cluster", "muster status"},
      {"top", "muster status"},
      {"data ls", "muster data list"},
      {"data get", "muster data show NAME"},
      {"data delete", "muster data rm NAME"},
      {"data remove", "muster data rm NAME"},
      {"models ls", "muster models list"},
      {"models import", "muster models push NAME DIR"},
      {"models delete", "muster models rm NAME"},
      {"models remove", "muster models rm NAME"},
      {"backup restore", "muster restore FOLDER"},
      {"backup ls", "muster backup list FOLDER"},
      {"tokens ls", "muster tokens list --file FILE"},
      {"tokens rm", "muster tokens revoke --file FILE"},
      {"tokens delete", "muster tokens revoke --file FILE"},
      {"certs list", "muster certs show DIR"},
      {"certs ls", "muster certs show DIR"},
  };
  return *kAdvice;
}

int RunAction(const Cli& cli, const std::string& command) {
  if (command != "muster local") WatchInterrupts(InterruptNote(command));  // `local` passes Ctrl-C on to its servers
  const absl::StatusOr<int> code = cli.action();
  if (code.ok()) return *code;
  std::string text(code.status().message());
  // gRPC does not report why a TLS connection cannot be made.
  if (absl::IsUnavailable(code.status())) text = WhyUnreachable(cli.connection, text);
  std::cerr << text;
  // For an unexpected error, adds the id with which the servers' logs mark the call.
  const std::string request_id = RequestIdOf(code.status());
  const bool unexpected =
      absl::IsInternal(code.status()) || absl::IsUnknown(code.status()) || absl::IsDataLoss(code.status());
  if (unexpected && !request_id.empty()) std::cerr << " (request " << request_id << ")";
  std::cerr << "\n";
  return ExitCodeFor(code.status());
}

}  // namespace muster
