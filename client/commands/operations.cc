// muster operations, muster operation get ID, muster operation cancel ID
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/list_table.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/status.h"
#include "muster/v1/operation.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Operation;
using muster::v1::OperationService;

// Each server has its own operations; the id names the server.
constexpr absl::string_view kOfCoordinator = "collection-";

absl::StatusOr<std::unique_ptr<OperationService::Stub>> StubFor(const Connection& connection, bool coordinator) {
  if (coordinator) return OperationService::NewStub(connection.coordinator());
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  return OperationService::NewStub(channel);
}

absl::Status WithOperations(const absl::Status& status, const char* command) {
  if (!absl::IsUnimplemented(status)) return WithContext(status, command);
  return absl::UnimplementedError(absl::StrCat(command, ": the server has an older version, which has no operations. Upgrade it."));
}

// "62 %", or whatever else is known.
std::string DoneText(const Operation& operation) {
  if (operation.done() > 0) return absl::StrFormat("%.0f %%", 100 * operation.done());
  return operation.bytes() > 0 ? SizeText(operation.bytes()) : "-";
}

absl::StatusOr<int> ListOperations(const Cli& cli, bool active, bool wide) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  muster::v1::ListOperationsRequest request;
  request.set_active_only(active);
  std::map<std::string, Operation> found;
  for (const bool coordinator : {true, false}) {
    ASSIGN_OR_RETURN(const auto stub, StubFor(connection, coordinator));
    auto response = CallAllPages(*stub, &OperationService::Stub::ListOperations, request);
    if (!response.ok()) return WithOperations(response.status(), "operations");
    for (Operation& operation : *response->mutable_operations()) found[operation.id()] = std::move(operation);
  }
  std::vector<Operation> operations;
  for (auto& [id, operation] : found) operations.push_back(std::move(operation));
  std::stable_sort(operations.begin(), operations.end(), [](const Operation& a, const Operation& b) {  // newest first
    return std::pair(a.started().seconds(), a.started().nanos()) > std::pair(b.started().seconds(), b.started().nanos());
  });
  if (cli.output != OutputFormat::kTable) {
    muster::v1::ListOperationsResponse all;
    for (Operation& operation : operations) *all.add_operations() = std::move(operation);
    std::printf("%s", Format(all, cli.output).c_str());
    return kExitSucceeded;
  }
  Table table({"ID", "KIND", "SUBJECT", "PHASE", "DONE", "OWNER", "STARTED", "REASON"});
  for (const Operation& operation : operations) {
    table.Add({operation.id(), WordOf(operation.kind()), operation.subject(), WordOf(operation.phase()), DoneText(operation),
               operation.owner(), TimeCell(operation.started(), wide), operation.reason()});
  }
  PrintTable(table, wide);
  return kExitSucceeded;
}

void Print(const Cli& cli, const Operation& operation) {
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(operation, cli.output).c_str());
    return;
  }
  Table facts({"id", operation.id()});
  facts.Add({"kind", WordOf(operation.kind())});
  if (!operation.subject().empty()) facts.Add({"subject", operation.subject()});
  facts.Add({"phase", WordOf(operation.phase())});
  facts.Add({"reason", operation.reason()});
  facts.Add({"done", DoneText(operation)});
  facts.Add({"bytes", operation.total_bytes() > 0
                          ? absl::StrCat(SizeText(operation.bytes()), " of ", SizeText(operation.total_bytes()))
                          : SizeText(operation.bytes())});
  facts.Add({"items", WithThousands(operation.items())});
  facts.Add({"owner", operation.owner()});
  facts.Add({"started", TimeText(operation.started())});
  facts.Add({"ended", TimeText(operation.ended())});
  std::printf("%s", facts.Text().c_str());
}

absl::StatusOr<int> GetOperation(const Cli& cli, const std::string& id) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto stub, StubFor(connection, absl::StartsWith(id, kOfCoordinator)));
  muster::v1::GetOperationRequest request;
  request.set_id(id);
  const auto response = Call(*stub, &OperationService::Stub::GetOperation, request);
  if (!response.ok()) return WithOperations(response.status(), "operation get");
  Print(cli, response->operation());
  return kExitSucceeded;
}

struct CancelFlags {
  std::string id, request_id;
};

absl::StatusOr<int> CancelOperation(const Cli& cli, const CancelFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto stub, StubFor(connection, absl::StartsWith(flags.id, kOfCoordinator)));
  muster::v1::CancelOperationRequest request;
  request.set_id(flags.id);
  request.set_request_id(RequestIdOr(flags.request_id));
  const auto response = Call(*stub, &OperationService::Stub::CancelOperation, request, {.patience = absl::Seconds(20)});
  if (!response.ok()) return WithOperations(response.status(), "operation cancel");
  const Operation& operation = response->operation();
  if (cli.output != OutputFormat::kTable) {
    Print(cli, operation);
  } else {
    std::printf("operation %s %s: %s\n", operation.id().c_str(), WordOf(operation.phase()).c_str(), operation.reason().c_str());
  }
  return kExitSucceeded;
}

}  // namespace

void AddOperationsCommands(CLI::App& app, Cli& cli) {
  auto active = std::make_shared<bool>(false), wide = std::make_shared<bool>(false);
  CLI::App* list = app.add_subcommand("operations", "List imports and collections of garbage, newest first")->fallthrough();
  list->add_flag("--active", *active, "Only those that still run");
  AddWideFlag(*list, cli, *wide);
  list->callback([&cli, active, wide] { cli.action = [&cli, active, wide] { return ListOperations(cli, *active, *wide); }; });

  CLI::App* operation = app.add_subcommand("operation", "Commands of one operation")->fallthrough();
  operation->require_subcommand(1);
  auto id = std::make_shared<std::string>();
  CLI::App* get = operation->add_subcommand("get", "Show one operation")->fallthrough();
  get->add_option("id", *id, "Id of the operation (muster operations)")->required()->type_name("ID");
  get->callback([&cli, id] { cli.action = [&cli, id] { return GetOperation(cli, *id); }; });
  auto flags = std::make_shared<CancelFlags>();
  CLI::App* cancel =
      operation->add_subcommand("cancel", "Cancel an operation; an import leaves nothing behind")->fallthrough();
  cancel->add_option("id", flags->id, "Id of the operation (muster operations)")->required()->type_name("ID");
  cancel->add_option("--request-id", flags->request_id, "Id of this request; repeating it changes nothing")->type_name("ID");
  cancel->callback([&cli, flags] { cli.action = [&cli, flags] { return CancelOperation(cli, *flags); }; });
}

}  // namespace muster
