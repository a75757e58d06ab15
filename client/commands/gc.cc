// muster gc
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/garbage_category.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::ClusterService;

absl::StatusOr<int> CollectGarbage(const Cli& cli, bool dry_run, const std::string& request_id) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = ClusterService::NewStub(connection.coordinator());
  muster::v1::CollectGarbageRequest request;
  request.set_dry_run(dry_run);
  request.set_request_id(RequestIdOr(request_id));
  std::vector<std::string> notes;
  const auto response =
      Call(*stub, &ClusterService::Stub::CollectGarbage, request, {.deadline = absl::Minutes(10), .notes = &notes});
  if (!response.ok()) return WithContext(response.status(), "gc");
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(*response, cli.output).c_str());
    return kExitSucceeded;
  }
  Table table({dry_run ? "WOULD GO" : "REMOVED", "COUNT", "SIZE"});
  uint64_t bytes = 0;
  for (const auto& kind : response->kinds()) {
    table.Add({std::string(CategoryName(CategoryOf(kind))), WithThousands(kind.count()), SizeText(kind.bytes())});
    bytes += kind.bytes();
  }
  table.Add({"in all", "", SizeText(bytes)});
  std::printf("%s", table.Text(ColumnsOfTerminal(stdout)).c_str());
  if (dry_run && response->largest_size() > 0) {
    Table largest({"LARGEST", "SIZE", "LAST USED", "ID"});
    for (const auto& item : response->largest()) {
      largest.Add({std::string(CategoryName(CategoryOf(item))), SizeText(item.bytes()), TimeText(item.last_used()), item.id()});
    }
    std::printf("\n%s", largest.Text(ColumnsOfTerminal(stdout)).c_str());
  }
  return kExitSucceeded;
}

}  // namespace

void AddGcCommand(CLI::App& app, Cli& cli) {
  auto dry_run = std::make_shared<bool>(false);
  auto request_id = std::make_shared<std::string>();
  CLI::App* gc = app.add_subcommand("gc", "Remove what no name and no job needs")->fallthrough();
  gc->add_flag("--dry-run", *dry_run, "Only show what would be removed");
  gc->add_option("--request-id", *request_id, "Id of this request; repeating it returns the first answer")->type_name("ID");
  gc->callback([&cli, dry_run, request_id] {
    cli.action = [&cli, dry_run, request_id] { return CollectGarbage(cli, *dry_run, *request_id); };
  });
}

}  // namespace muster
