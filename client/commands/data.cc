// muster data list, rm; each other command has a separate file
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/data.h"
#include "client/list_table.h"
#include "client/words.h"
#include "common/exit_code.h"

namespace muster {
namespace {

using muster::v1::DataService;

absl::StatusOr<int> ListDatasets(const Cli& cli, bool wide) {
  ASSIGN_OR_RETURN(const auto stub, OpenDataService(cli));
  auto response = CallAllPages(*stub, &DataService::Stub::ListDatasets, muster::v1::ListDatasetsRequest());
  if (!response.ok()) return WithContext(response.status(), "data list");
  response->clear_server_version();  // these two describe the server, for muster doctor, not its datasets
  response->clear_server_time();
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(*response, cli.output).c_str());
    return kExitSucceeded;
  }
  Table table({"NAME", "QUERIES", "PASSAGES", "SPLITS", "SIZE", "OWNER", "IMPORTED", "DIGEST"});
  for (const auto& dataset : response->datasets()) {
    const auto name_of = [](std::string* out, const muster::v1::SplitInfo& split) { out->append(split.name()); };
    table.Add({dataset.name(), WithThousands(dataset.queries()), WithThousands(dataset.passages()),
               absl::StrJoin(dataset.splits(), ",", name_of), SizeText(dataset.bytes()),
               dataset.owner().empty() ? "-" : dataset.owner(), TimeCell(dataset.imported(), wide),
               dataset.digest().substr(0, 12)});
  }
  PrintTable(table, wide);
  return kExitSucceeded;
}

absl::StatusOr<int> RemoveDataset(const Cli& cli, const std::string& name, const std::string& request_id) {
  ASSIGN_OR_RETURN(const auto stub, OpenDataService(cli));
  muster::v1::DeleteDatasetRequest request;
  request.set_name(name);
  request.set_request_id(RequestIdOr(request_id));
  const auto response = Call(*stub, &DataService::Stub::DeleteDataset, request);
  if (!response.ok()) return WithContext(response.status(), "data rm");
  if (cli.output == OutputFormat::kTable) std::printf("removed dataset %s\n", name.c_str());
  return kExitSucceeded;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataService::Stub>> OpenDataService(const Cli& cli) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  return DataService::NewStub(channel);
}

void AddDataCommands(CLI::App& app, Cli& cli) {
  CLI::App* data = app.add_subcommand("data", "Import, inspect, export and remove datasets")->fallthrough();
  data->require_subcommand(1);
  AddImportCommand(*data, cli);
  auto wide = std::make_shared<bool>(false);
  CLI::App* list = data->add_subcommand("list", "List datasets")->fallthrough();
  AddWideFlag(*list, cli, *wide);
  list->callback([&cli, wide] { cli.action = [&cli, wide] { return ListDatasets(cli, *wide); }; });
  auto name = std::make_shared<std::string>();
  AddShowCommands(*data, cli);
  AddDataExportCommand(*data, cli);
  CLI::App* remove = data->add_subcommand("rm", "Remove a dataset; running jobs keep theirs")->fallthrough();
  remove->add_option("name", *name, "Name of the dataset")->required()->type_name("NAME");
  auto request_id = std::make_shared<std::string>();
  remove->add_option("--request-id", *request_id, "Id of this request; repeating it changes nothing")->type_name("ID");
  remove->callback([&cli, name, request_id] { cli.action = [&cli, name, request_id] { return RemoveDataset(cli, *name, *request_id); }; });
}

}  // namespace muster
