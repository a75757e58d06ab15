// muster: the command line of a Muster cluster.
#include "client/app.h"
#include "common/flags/explain.h"
#include "common/log.h"
#include "common/rpc/grpc_setup.h"

int main(int argc, char** argv) {
  muster::Cli cli;
  CLI::App app("Trains dense retrievers on a Muster cluster.", "muster");
  muster::AddMuster(app, cli);
  if (const std::optional<int> code = muster::ParseFlags(app, argc, argv, muster::MusterAdvice())) return *code;
  // Prints only a command's output and its one line of error.
  muster::InitLog("muster", cli.verbose ? "debug" : "off");
  muster::SetUpGrpc();
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return muster::RunAction(cli, muster::CommandPath(*command));
}
