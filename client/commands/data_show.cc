// muster data show, report
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/data.h"
#include "client/import_report.h"
#include "client/progress.h"
#include "client/report_file.h"
#include "client/sample_text.h"
#include "client/words.h"
#include "common/exit_code.h"

namespace muster {
namespace {

using muster::v1::DataService;
using Json = nlohmann::ordered_json;

// The dataset's own keys, as in versions without samples, plus the sample.
Json ShownJson(const muster::v1::ShowDatasetResponse& response) {
  Json all = Json::parse(JsonText(response));
  Json shown = std::move(all["dataset"]);
  shown["sample"] = {{"split", std::move(all["split"])}, {"queries", std::move(all["queries"])}};
  return shown;
}

absl::StatusOr<int> Show(const Cli& cli, const muster::v1::ShowDatasetRequest& request) {
  ASSIGN_OR_RETURN(const auto stub, OpenDataService(cli));
  const auto response = Call(*stub, &DataService::Stub::ShowDataset, request);
  if (!response.ok()) return WithContext(response.status(), "data show");
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(ShownJson(*response), cli.output).c_str());
    return kExitSucceeded;
  }
  std::printf("%s%s of split %s:\n%s", DatasetText(response->dataset()).c_str(),
              Plural(response->queries_size(), "query").c_str(), response->split().c_str(),
              SampleText(*response, StyleOf(stdout).width).c_str());
  return kExitSucceeded;
}

absl::StatusOr<int> Report(const Cli& cli, const std::string& name, const std::string& file) {
  RETURN_IF_ERROR(CheckReportFile(file));
  ASSIGN_OR_RETURN(const auto stub, OpenDataService(cli));
  muster::v1::GetDatasetRequest request;
  request.set_name(name);
  const auto response = Call(*stub, &DataService::Stub::GetDataset, request);
  if (!response.ok()) return WithContext(response.status(), "data report");
  if (!response->has_report()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "data report: dataset \"", name, "\" was imported before reports were stored. Import it again to get one."));
  }
  RETURN_IF_ERROR(WriteReportFile(file, response->report()));
  const bool table = cli.output == OutputFormat::kTable;
  std::printf("%s", (table ? ImportReportText(response->report()) : Format(response->report(), cli.output)).c_str());
  return kExitSucceeded;
}

}  // namespace

void AddShowCommands(CLI::App& data, Cli& cli) {
  auto request = std::make_shared<muster::v1::ShowDatasetRequest>();
  CLI::App* show = data.add_subcommand("show", "Show a dataset and a sample of its queries")->fallthrough();
  const auto text = [](std::string* target) { return [target](const std::string& value) { *target = value; }; };
  show->add_option_function<std::string>("name", text(request->mutable_name()), "Name of the dataset")
      ->required()
      ->type_name("NAME");
  show->add_option_function<std::string>("--split", text(request->mutable_split()), "Split of the queries (train)")
      ->type_name("SPLIT");
  CLI::Option* queries = show->add_option_function<uint32_t>(
      "--queries", [request](uint32_t value) { request->set_queries(value); }, "How many queries to show, 1 to 100 (5)");
  queries->check(CLI::Range(1, 100))->type_name("N");
  CLI::Option* seed = show->add_option_function<uint64_t>(
      "--seed", [request](uint64_t value) { request->set_seed(value); }, "Seed of the sample (0)");
  seed->type_name("K")->check(CLI::NonNegativeNumber);
  show->add_option_function<std::string>("--query", text(request->mutable_query_id()), "Only this query")
      ->type_name("ID")
      ->excludes(queries)
      ->excludes(seed);
  show->callback([&cli, request] { cli.action = [&cli, request] { return Show(cli, *request); }; });

  auto name = std::make_shared<std::string>();
  auto file = std::make_shared<std::string>();
  CLI::App* report = data.add_subcommand("report", "Show the report of a dataset's import")->fallthrough();
  report->add_option("name", *name, "Name of the dataset")->required()->type_name("NAME");
  report->add_option("--report", *file, "Also write the report to a file: *.html or *.json")->type_name("FILE");
  report->callback([&cli, name, file] { cli.action = [&cli, name, file] { return Report(cli, *name, *file); }; });
}

}  // namespace muster
