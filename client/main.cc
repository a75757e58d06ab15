// muster: the command line of a Muster cluster.
#include <iostream>

#include "client/commands/commands.h"
#include "client/local/local_command.h"
#include "common/exit_code.h"
#include "common/rpc/errors.h"

int main(int argc, char** argv) {
  muster::Cli cli;
  CLI::App app("Trains dense retrievers on a Muster cluster.", "muster");
  app.require_subcommand(1);
  app.fallthrough();  // global flags may stand after the command, too
  app.add_option("--address", cli.connection.address, "Coordinator, host:port (MUSTER_ADDRESS)")
      ->type_name("HOST:PORT");
  app.add_option("--certs", cli.connection.certificates, "Folder with ca.pem, cert.pem, key.pem (MUSTER_CERTS)")
      ->type_name("DIR");
  app.add_option("--token-file", cli.connection.token_file, "File with a token, instead of a certificate (MUSTER_TOKEN_FILE)")
      ->type_name("FILE");
  app.add_flag("--insecure", cli.connection.insecure, "No TLS: for clusters that were started so, on loopback");
  app.add_option("--output", cli.output, "table, json or yaml")
      ->type_name("FORMAT")
      ->transform(CLI::CheckedTransformer(muster::OutputFormats()).description(""));

  muster::AddSubmitCommand(app, cli);
  muster::AddJobsCommands(app, cli);
  muster::AddWatchCommand(app, cli);
  muster::AddLogsCommand(app, cli);
  muster::AddControlCommands(app, cli);
  muster::AddDataCommands(app, cli);
  muster::AddModelsCommands(app, cli);
  muster::AddExportCommand(app, cli);
  muster::AddEvalCommand(app, cli);
  muster::AddClusterCommands(app, cli);
  muster::AddCertsCommands(app, cli);
  muster::AddBackupCommands(app, cli);
  muster::AddTokensCommands(app, cli);
  muster::AddGcCommand(app, cli);
  muster::AddDoctorCommand(app, cli);
  muster::AddLocalCommand(app, cli.action);
  muster::AddVersionCommand(app, cli);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::cerr << "muster: " << error.what() << ". See muster --help.\n";
    return muster::kExitUsage;
  }
  const absl::StatusOr<int> code = cli.action();
  if (code.ok()) return *code;
  std::cerr << code.status().message();
  // An error that nobody expected: what the servers' logs know the call by.
  const std::string request_id = muster::RequestIdOf(code.status());
  const bool unexpected = absl::IsInternal(code.status()) || absl::IsUnknown(code.status()) || absl::IsDataLoss(code.status());
  if (unexpected && !request_id.empty()) std::cerr << " (request " << request_id << ")";
  std::cerr << "\n";
  return muster::ExitCodeFor(code.status());
}
