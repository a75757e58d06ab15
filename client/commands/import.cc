#include "client/commands/import.h"

#include <grpcpp/client_context.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call.h"
#include "client/import_files.h"
#include "client/import_report.h"
#include "client/transfer.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::DataService;
using muster::v1::ImportReport;
using muster::v1::ImportRequest;
using muster::v1::ImportResponse;
using Stream = grpc::ClientReaderWriter<ImportRequest, ImportResponse>;

constexpr size_t kChunkBytes = 1 << 20;

struct ImportFlags {
  std::string name;
  ImportWishes wishes;
  std::string source;
  uint64_t skip_bad = 0;
  bool replace = false;
  std::vector<std::string> columns;  // FIELD=NAME
  std::optional<double> max_missing_share;
};

// FIELD=NAME of each, or an error that names the one that is none.
absl::Status SetColumns(const std::vector<std::string>& columns, muster::v1::ImportHeader& header) {
  for (const std::string& column : columns) {
    const size_t equals = column.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == column.size()) {
      return absl::InvalidArgumentError(absl::StrCat("--columns ", column, ": write FIELD=NAME, for example query=question"));
    }
    if (!header.mutable_columns()->insert({column.substr(0, equals), column.substr(equals + 1)}).second) {
      return absl::InvalidArgumentError(absl::StrCat("--columns ", column, ": the field is named twice"));
    }
  }
  return absl::OkStatus();
}

// False: the server ended the stream; its status says why.
absl::StatusOr<bool> SendFile(const ImportSource& source, Stream& stream) {
  std::ifstream in(source.file, std::ios::binary);
  if (!in) return absl::InvalidArgumentError(absl::StrCat(source.file.string(), ": cannot be opened"));
  ImportRequest request;
  request.mutable_file()->set_path(source.name);
  request.mutable_file()->set_split(source.split);
  bool open = stream.Write(request);
  std::string chunk(kChunkBytes, '\0');
  while (open && in) {
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (in.gcount() == 0) break;
    request.set_chunk(chunk.data(), in.gcount());
    open = stream.Write(request);
  }
  if (in.bad()) return absl::InvalidArgumentError(absl::StrCat(source.file.string(), ": cannot be read"));
  return open;
}

absl::StatusOr<ImportReport> SendAll(const ImportFlags& flags, const ImportPlan& plan,
                                     const std::shared_ptr<grpc::Channel>& channel, TransferPrinter& printer) {
  ImportRequest request;
  RETURN_IF_ERROR(SetColumns(flags.columns, *request.mutable_header()));
  if (flags.max_missing_share.has_value()) request.mutable_header()->set_max_missing_share(*flags.max_missing_share);
  grpc::ClientContext context;
  const auto stub = DataService::NewStub(channel);
  const std::unique_ptr<Stream> stream = stub->Import(&context);
  ImportReport report;
  bool has_report = false;
  // Progress comes back while files are still being sent.
  std::thread reader([&] {
    ImportResponse response;
    while (stream->Read(&response)) {
      if (response.has_report()) {
        report = std::move(*response.mutable_report());
        has_report = true;
        continue;
      }
      const auto& progress = response.progress();
      const std::string detail = absl::StrCat(Plural(progress.records(), "record"),
                                              progress.activity().empty() ? "" : "  ", progress.activity());
      printer.Update(progress.bytes(), plan.total_bytes, detail, RealClock().Monotonic());
    }
  });
  request.mutable_header()->set_name(flags.name);
  request.mutable_header()->set_schema(flags.wishes.schema);
  request.mutable_header()->set_source(flags.source);
  request.mutable_header()->set_split(plan.split);
  request.mutable_header()->set_skip_bad(flags.skip_bad);
  request.mutable_header()->set_replace(flags.replace);
  request.mutable_header()->set_total_bytes(plan.total_bytes);
  absl::Status local;
  bool open = stream->Write(request);
  for (const ImportSource& source : plan.sources) {
    if (!open) break;
    const auto sent = SendFile(source, *stream);
    if (!sent.ok()) {
      local = sent.status();
      context.TryCancel();  // nothing of the import stays behind
      break;
    }
    open = *sent;
  }
  stream->WritesDone();
  reader.join();
  const absl::Status status = FromGrpc(stream->Finish());
  printer.Finish();
  if (!local.ok()) return local;
  if (!status.ok()) return ExplainUnreachable(status);
  if (!has_report) return absl::InternalError("data import: the server ended without a report");
  return report;
}

absl::StatusOr<int> Import(const Cli& cli, const ImportFlags& flags) {
  ASSIGN_OR_RETURN(const ImportPlan plan, PlanImport(flags.wishes));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  const bool table = cli.output == OutputFormat::kTable;
  if (table && !plan.left_out.empty()) {
    std::printf("left out, as no schema knows them: %s\n", absl::StrJoin(plan.left_out, ", ").c_str());
  }
  const absl::Duration start = RealClock().Monotonic();
  TransferPrinter printer(table ? stdout : nullptr, StyleOf(stdout), "importing", start);
  ASSIGN_OR_RETURN(const ImportReport report, SendAll(flags, plan, channel, printer));
  if (!table) {
    std::printf("%s", Format(report, cli.output).c_str());
    return kExitSucceeded;
  }
  std::printf("%simported %s in %s\n", ImportReportText(report).c_str(), report.dataset().name().c_str(),
              DurationText(absl::ToDoubleSeconds(RealClock().Monotonic() - start)).c_str());
  return kExitSucceeded;
}

}  // namespace

void AddImportCommand(CLI::App& data, Cli& cli) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* command = data.add_subcommand("import", "Import a dataset from files or a folder")->fallthrough();
  command->add_option("name", flags->name, "Name of the dataset")->required()->type_name("NAME");
  command->add_option("paths", flags->wishes.paths, "Files, folders or patterns of JSON, CSV, TSV or Parquet (.gz, .zst); - is standard input")
      ->type_name("PATH");
  command
      ->add_option("--schema", flags->wishes.schema,
                   "beir, flagembedding, tevatron, … (docs/data-schemas.md), whatever the files are called; recognized if "
                   "left out")
      ->type_name("SCHEMA");
  command->add_option("--source", flags->source, "Source of judgments that name none: human, llm, … (human)")
      ->type_name("SOURCE");
  command
      ->add_option(
          "--split", flags->wishes.splits,
          "Split of all files, or with =PATH of one file or folder; may be repeated. By default the file's name "
          "decides (test.jsonl), else train")
      ->type_name("SPLIT[=PATH]")
      ->allow_extra_args(false);
  command
      ->add_option("--columns", flags->columns,
                   "The files' own names of the schema's fields: query=question,positive=answer")
      ->type_name("FIELD=NAME")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--max-missing-share", flags->max_missing_share,
                   "Share of the judgments that may name a query or document that is not there (0.05)")
      ->type_name("SHARE");
  command->add_flag("--replace", flags->replace,
                    "Replace the splits that these files bring in a dataset that exists, and keep its others");
  command->add_option("--skip-bad", flags->skip_bad, "Bad records that are tolerated (0)")->type_name("N");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Import(cli, *flags); }; });
}

}  // namespace muster
