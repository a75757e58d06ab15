#include <grpcpp/client_context.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/call.h"
#include "client/commands/data.h"
#include "client/import_files.h"
#include "client/import_report.h"
#include "client/interrupt.h"
#include "client/qrels_alone.h"
#include "client/report_file.h"
#include "client/transfer.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/rpc/blobs.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::DataService;
using muster::v1::ImportDatasetRequest;
using muster::v1::ImportDatasetResponse;
using muster::v1::ImportReport;
using Stream = grpc::ClientReaderWriter<ImportDatasetRequest, ImportDatasetResponse>;

constexpr size_t kChunkBytes = 1 << 20;
constexpr uint64_t kResumableBytes = 64 << 20;  // larger files are stored as blobs first, to be resumable

struct ImportFlags {
  std::string command;  // "data import" or "data add"
  std::string name;
  ImportWishes wishes;
  std::string source, model, max_length, report, request_id;
  uint64_t skip_bad = 0;
  bool replace = false, add = false, resume = false;
  std::vector<std::string> columns;  // FIELD=NAME
  std::optional<double> max_missing_share;
};

// Parses each FIELD=NAME. The error names the first that has another form.
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

// "query=64,passage=256", in any order; one of them is enough.
absl::StatusOr<muster::v1::MaxLength> ParseMaxLength(const std::string& text) {
  muster::v1::MaxLength lengths;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> sides = absl::StrSplit(part, absl::MaxSplits('=', 1));
    uint32_t tokens = 0;
    if (!absl::SimpleAtoi(sides.second, &tokens) || (sides.first != "query" && sides.first != "passage")) {
      return absl::InvalidArgumentError(
          absl::StrCat("--max-length ", text, ": \"", part, "\" is not query=TOKENS or passage=TOKENS."));
    }
    sides.first == "query" ? lengths.set_query(tokens) : lengths.set_passage(tokens);
  }
  return lengths;
}

absl::StatusOr<muster::v1::ImportHeader> HeaderOf(const ImportFlags& flags, const ImportPlan& plan) {
  muster::v1::ImportHeader header;
  header.set_split(plan.split);
  header.set_total_bytes(plan.total_bytes);
  header.set_name(flags.name);
  header.set_schema(flags.wishes.schema);
  header.set_source(flags.source);
  header.set_skip_bad(flags.skip_bad);
  header.set_replace(flags.replace);
  header.set_add(flags.add);
  header.set_model(flags.model);
  header.set_request_id(RequestIdOr(flags.request_id));
  RETURN_IF_ERROR(SetColumns(flags.columns, header));
  if (flags.max_missing_share.has_value()) header.set_max_missing_share(*flags.max_missing_share);
  if (!flags.max_length.empty()) {
    ASSIGN_OR_RETURN(*header.mutable_max_length(), ParseMaxLength(flags.max_length));
  }
  return header;
}

// Stores the files as blobs: bytes that the server has are not sent again. Sets their digests in the plan.
absl::Status PutFiles(const std::string& command, const std::shared_ptr<grpc::Channel>& channel, ImportPlan& plan,
                      TransferPrinter& printer) {
  const InterruptScope interrupt(absl::StrCat(
      command, ": interrupted. The server keeps what was sent for a while: the same command with --resume continues from there."));
  BlobClient blobs(channel);
  uint64_t before = 0;
  std::error_code error;
  for (ImportSource& source : plan.sources) {
    if (!std::filesystem::is_regular_file(source.file, error)) continue;  // a pipe can be read only once
    ASSIGN_OR_RETURN(const muster::v1::FileEntry entry,
                     blobs.PutFile(source.file, source.name, [&](uint64_t bytes, uint64_t) {
                       printer.Update(before + bytes, plan.total_bytes, source.file.filename().string(), RealClock().Monotonic());
                     }));
    source.blob = entry.digest();
    before += entry.size();
  }
  return absl::OkStatus();
}

// Asks whether the server would accept the import, so that an existing name, another owner or a full store are reported before
// anything is sent. The call ends when the server announces that it is reading.
absl::Status CheckWelcome(const muster::v1::ImportHeader& header, const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(RealClock().Now() + absl::Seconds(60)));
  const auto stub = DataService::NewStub(channel);
  const std::unique_ptr<Stream> stream = stub->ImportDataset(&context);
  ImportDatasetRequest request;
  *request.mutable_header() = header;
  stream->Write(request);
  ImportDatasetResponse response;
  const bool reads = stream->Read(&response);
  if (reads) context.TryCancel();
  const absl::Status status = FromGrpc(stream->Finish());
  return reads ? absl::OkStatus() : ExplainUnreachable(status);
}

// False: the server ended the stream; the call's status has the reason.
absl::StatusOr<bool> SendFile(const ImportSource& source, Stream& stream) {
  ImportDatasetRequest request;
  request.mutable_file()->set_path(source.name);
  request.mutable_file()->set_split(source.split);
  request.mutable_file()->set_blob(source.blob);
  if (!source.blob.empty()) return stream.Write(request);
  std::ifstream in(source.file, std::ios::binary);
  if (!in) return absl::InvalidArgumentError(absl::StrCat(source.file.string(), ": cannot be opened. Check its permissions."));
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

absl::StatusOr<ImportReport> SendAll(const muster::v1::ImportHeader& header, const ImportPlan& plan,
                                     const std::shared_ptr<grpc::Channel>& channel, TransferPrinter& printer) {
  grpc::ClientContext context;
  const auto stub = DataService::NewStub(channel);
  const std::unique_ptr<Stream> stream = stub->ImportDataset(&context);
  ImportReport report;
  bool has_report = false;
  // Progress comes back while files are still being sent.
  std::thread reader([&] {
    ImportDatasetResponse response;
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
  ImportDatasetRequest request;
  *request.mutable_header() = header;
  absl::Status local;
  bool open = stream->Write(request);
  for (const ImportSource& source : plan.sources) {
    if (!open) break;
    const auto sent = SendFile(source, *stream);
    if (!sent.ok()) {
      local = sent.status();
      context.TryCancel();  // the import leaves nothing behind
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

absl::StatusOr<std::vector<std::string>> SplitsOf(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  muster::v1::GetDatasetRequest request;
  request.set_name(name);
  const auto stub = DataService::NewStub(channel);
  ASSIGN_OR_RETURN(const auto response, Call(*stub, &DataService::Stub::GetDataset, request));
  std::vector<std::string> splits;
  for (const auto& split : response.dataset().splits()) splits.push_back(split.name());
  return splits;
}

absl::StatusOr<int> Import(const Cli& cli, const ImportFlags& flags) {
  RETURN_IF_ERROR(CheckReportFile(flags.report));
  ASSIGN_OR_RETURN(ImportPlan plan, PlanImport(flags.wishes));
  ASSIGN_OR_RETURN(const muster::v1::ImportHeader header, HeaderOf(flags, plan));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  if (flags.add && flags.wishes.schema.empty()) {
    RETURN_IF_ERROR(NameQrels([&] { return SplitsOf(channel, flags.name); }, plan));
  }
  const bool table = cli.output == OutputFormat::kTable;
  if (table && !plan.left_out.empty()) {
    std::printf("left out, because no schema knows them: %s\n", absl::StrJoin(plan.left_out, ", ").c_str());
  }
  const absl::Duration start = RealClock().Monotonic();
  if (flags.resume || plan.total_bytes >= kResumableBytes) {
    RETURN_IF_ERROR(CheckWelcome(header, channel));
    TransferPrinter sending(table ? stdout : nullptr, StyleOf(stdout), "sending", start);
    const absl::Status status = PutFiles(flags.command, channel, plan, sending);
    sending.Finish();
    if (!status.ok()) return WithContext(ExplainUnreachable(status), flags.command);
  }
  TransferPrinter printer(table ? stdout : nullptr, StyleOf(stdout), "importing", start);
  ASSIGN_OR_RETURN(const ImportReport report, SendAll(header, plan, channel, printer));
  if (!table) {
    std::printf("%s", Format(report, cli.output).c_str());
  } else {
    std::printf("%s%s %s in %s\n", ImportReportText(report).c_str(), flags.add ? "added to" : "imported",
                report.dataset().name().c_str(),
                DurationText(absl::ToDoubleSeconds(RealClock().Monotonic() - start)).c_str());
  }
  RETURN_IF_ERROR(WriteReportFile(flags.report, report));
  return kExitSucceeded;
}

// Adds the flags that both commands have.
CLI::App* AddCommand(CLI::App& data, Cli& cli, const char* name, const char* help,
                     const std::shared_ptr<ImportFlags>& flags) {
  flags->command = absl::StrCat("data ", name);
  CLI::App* command = data.add_subcommand(name, help)->fallthrough();
  command->add_option("name", flags->name, "Name of the dataset")->required()->type_name("NAME");
  command
      ->add_option("--schema", flags->wishes.schema,
                   "beir, flagembedding, tevatron, … (docs/reference/data-schemas.md), whatever the files are called; recognized if "
                   "left out")
      ->type_name("SCHEMA");
  command->add_option("--source", flags->source, "Source of judgments without one: human, llm, … (human)")
      ->type_name("SOURCE");
  command->add_option("--skip-bad", flags->skip_bad, "Number of bad records to tolerate (0)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--columns", flags->columns,
                   "Names of the schema's fields in the files: query=question,positive=answer")
      ->type_name("FIELD=NAME")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--max-missing-share", flags->max_missing_share,
                   "Share of the judgments that may name a missing query or document (0.05)")
      ->type_name("SHARE");
  CLI::Option* model =
      command->add_option("--model", flags->model, "Count tokens with this model's tokenizer, for the report")
          ->type_name("NAME");
  command
      ->add_option("--max-length", flags->max_length,
                   "Lengths in tokens above which the report counts a text as cut (query=64,passage=256)")
      ->type_name("query=N,passage=N")
      ->needs(model);
  command->add_option("--report", flags->report, "Also write the report to a file: *.html or *.json")->type_name("FILE");
  command->add_option("--request-id", flags->request_id,
                      "Id of this request; repeating it with the same files changes nothing, and prints the first report")
      ->type_name("ID");
  command->add_flag("--resume", flags->resume,
                    "Continue an interrupted upload; also makes uploads below 64 MiB resumable");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Import(cli, *flags); }; });
  return command;
}

}  // namespace

void AddImportCommand(CLI::App& data, Cli& cli) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* command = AddCommand(data, cli, "import", "Import a dataset from files or a folder", flags);
  command->add_option("paths", flags->wishes.paths, 
                      "Files, folders or patterns of JSON, CSV, TSV or Parquet (.gz, .zst); - is standard input")
      ->type_name("PATH");
  command
      ->add_option(
          "--split", flags->wishes.splits,
          "Split of all files, or with =PATH of one file or folder; may be repeated. By default the file's name "
          "decides (test.jsonl), else train")
      ->type_name("SPLIT[=PATH]")
      ->allow_extra_args(false);
  command->add_flag("--replace", flags->replace,
                    "Replace the splits in these files in an existing dataset, and keep its other splits");

  auto added = std::make_shared<ImportFlags>();
  added->add = true;
  CLI::App* add = AddCommand(data, cli, "add", "Add judgments, queries and documents to a dataset", added);
  add->add_option("paths", added->wishes.paths, "As for import, or only qrels: query-id, corpus-id, score")
      ->type_name("PATH");
  add->add_option("--split", added->wishes.splits,
                  "Split of all files, or with =PATH of one; may be repeated. By default the file's name decides, else "
                  "the dataset's only split")
      ->type_name("SPLIT[=PATH]")
      ->allow_extra_args(false);
}

}  // namespace muster
