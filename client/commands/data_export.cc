// muster data export
#include <grpcpp/client_context.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/call.h"
#include "client/commands/data.h"
#include "client/new_folder.h"
#include "client/progress.h"
#include "client/transfer.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"

namespace muster {
namespace {

using muster::v1::DatasetFormat;
using muster::v1::ExportDatasetResponse;
using Json = nlohmann::ordered_json;

struct ExportFlags {
  std::string name, folder;
  DatasetFormat format = muster::v1::DATASET_FORMAT_BEIR;
};

struct ExportedFile {
  std::string path;
  uint64_t bytes = 0;
};
struct Exported {
  std::vector<ExportedFile> files;
  std::vector<std::string> notes;
};

// The files of the stream, below a folder. Their names come from the server and are not trusted.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path folder) : folder_(std::move(folder)) {}

  absl::Status Take(const ExportDatasetResponse& response) {
    switch (response.part_case()) {
      case ExportDatasetResponse::kFile: return Begin(response.file());
      case ExportDatasetResponse::kChunk: return Append(response.chunk());
      case ExportDatasetResponse::PART_NOT_SET: return absl::OkStatus();
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<ExportedFile>> Finish() {
    RETURN_IF_ERROR(Close());
    return files_;
  }
  uint64_t bytes() const { return bytes_; }

 private:
  absl::Status Begin(const std::string& path) {
    RETURN_IF_ERROR(Close());
    if (!IsSafeRelativePath(path) || !paths_.insert(path).second) {
      return absl::InternalError(absl::StrCat("the server named a file \"", path, "\", which is not safe or occurs twice"));
    }
    RETURN_IF_ERROR(MakeFoldersBelow(folder_, std::filesystem::path(path).parent_path()));
    files_.push_back({path});
    out_.open(folder_ / path, std::ios::binary | std::ios::trunc);
    return out_ ? absl::OkStatus() : Failed();
  }
  absl::Status Append(const std::string& bytes) {
    if (!out_.is_open()) return absl::InternalError("the server sent bytes before the name of their file");
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    files_.back().bytes += bytes.size();
    bytes_ += bytes.size();
    return out_ ? absl::OkStatus() : Failed();
  }
  absl::Status Close() {
    if (!out_.is_open()) return absl::OkStatus();
    out_.close();
    return out_ ? FlushToDisk(folder_ / files_.back().path) : Failed();
  }
  absl::Status Failed() const {
    return absl::ErrnoToStatus(errno, absl::StrCat((folder_ / files_.back().path).string(), ": cannot be written"));
  }

  const std::filesystem::path folder_;
  std::ofstream out_;
  std::set<std::string> paths_;
  std::vector<ExportedFile> files_;
  uint64_t bytes_ = 0;
};

absl::StatusOr<Exported> Receive(const Cli& cli, const ExportFlags& flags, const std::filesystem::path& folder,
                                 TransferPrinter& printer) {
  ASSIGN_OR_RETURN(const auto stub, OpenDataService(cli));
  muster::v1::ExportDatasetRequest request;
  request.set_name(flags.name);
  request.set_format(flags.format);
  grpc::ClientContext context;
  const auto reader = stub->ExportDataset(&context, request);
  FileWriter files(folder);
  ExportDatasetResponse response;
  absl::Status local;
  while (local.ok() && reader->Read(&response)) {
    local = files.Take(response);
    printer.Update(files.bytes(), 0, "", RealClock().Monotonic());
  }
  if (!local.ok()) context.TryCancel();
  const absl::Status status = FromGrpc(reader->Finish());
  printer.Finish();
  RETURN_IF_ERROR(local);
  RETURN_IF_ERROR(ExplainUnreachable(status));
  Exported exported;
  ASSIGN_OR_RETURN(exported.files, files.Finish());
  exported.notes = NotesOf(context);
  return exported;
}

// The source of all judgments, if the format's files do not carry it; empty: the default, or there are several.
absl::StatusOr<std::string> OnlySource(const Cli& cli, const ExportFlags& flags) {
  if (flags.format != muster::v1::DATASET_FORMAT_BEIR) return "";
  ASSIGN_OR_RETURN(const auto stub, OpenDataService(cli));
  muster::v1::GetDatasetRequest request;
  request.set_name(flags.name);
  ASSIGN_OR_RETURN(const auto response, Call(*stub, &muster::v1::DataService::Stub::GetDataset, request));
  const auto& sources = response.dataset().sources();
  return sources.size() == 1 && sources[0] != "human" ? sources[0] : "";
}

// The command that imports these files again.
std::string ImportCommand(const ExportFlags& flags, const Exported& exported, const std::string& source,
                          const std::string& folder) {
  std::string command = "muster data import NAME";
  if (!source.empty()) absl::StrAppend(&command, " --source '", source, "'");
  if (flags.format == muster::v1::DATASET_FORMAT_BEIR) return absl::StrCat(command, " ", folder);
  for (const ExportedFile& file : exported.files) {
    absl::StrAppend(&command, " --split ", absl::StripSuffix(file.path, ".jsonl"), "=", folder, "/", file.path);
  }
  return command;
}

absl::StatusOr<int> Export(const Cli& cli, const ExportFlags& flags) {
  ASSIGN_OR_RETURN(const std::filesystem::path target, NewFolderTarget("data export", flags.folder));
  ASSIGN_OR_RETURN(const std::unique_ptr<NewFolder> folder, NewFolder::Create("data export", target));
  const bool table = cli.output == OutputFormat::kTable;
  TransferPrinter printer(table ? stdout : nullptr, StyleOf(stdout), "receiving", RealClock().Monotonic());
  const auto source = OnlySource(cli, flags);
  if (!source.ok()) return WithContext(source.status(), "data export");
  const auto exported = Receive(cli, flags, folder->aside(), printer);
  if (!exported.ok()) return WithContext(exported.status(), "data export");
  RETURN_IF_ERROR(folder->Publish());
  for (const std::string& note : exported->notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (!table) {
    Json result = {{"folder", target.string()}, {"files", Json::array()}, {"notes", exported->notes}};
    for (const ExportedFile& file : exported->files) {
      result["files"].push_back({{"path", file.path}, {"bytes", std::to_string(file.bytes)}});
    }
    std::printf("%s", Format(result, cli.output).c_str());
    return kExitSucceeded;
  }
  uint64_t bytes = 0;
  for (const ExportedFile& file : exported->files) {
    std::printf("  %s  %s\n", file.path.c_str(), SizeText(file.bytes).c_str());
    bytes += file.bytes;
  }
  std::printf("exported dataset %s to %s: %s, %s\nto import it again: %s\n", flags.name.c_str(), target.c_str(),
              Plural(exported->files.size(), "file").c_str(), SizeText(bytes).c_str(),
              ImportCommand(flags, *exported, *source, target.string()).c_str());
  return kExitSucceeded;
}

}  // namespace

void AddDataExportCommand(CLI::App& data, Cli& cli) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* command = data.add_subcommand("export", "Write a dataset as files for other tools")->fallthrough();
  command->add_option("name", flags->name, "Name of the dataset")->required()->type_name("NAME");
  command->add_option("folder", flags->folder, "A new or empty folder")->required()->type_name("FOLDER");
  AddChoice(*command, "--format", flags->format,
            {{"beir", muster::v1::DATASET_FORMAT_BEIR}, {"jsonl", muster::v1::DATASET_FORMAT_JSONL}},
            "beir: corpus, queries and qrels; jsonl: one row per query with pos and neg (beir)")
      ->type_name("FORMAT");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Export(cli, *flags); }; });
}

}  // namespace muster
