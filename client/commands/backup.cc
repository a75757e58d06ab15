// muster backup take|list|verify, muster restore
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/backup/restore.h"
#include "client/backup/take.h"
#include "client/commands/commands.h"
#include "client/transfer.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/process/lock_file.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::BackupManifest;

uint64_t BytesOf(const BackupManifest& manifest) {
  uint64_t bytes = 0;
  for (const auto& part : manifest.parts()) {
    for (const auto& file : part.files()) bytes += file.size();
  }
  return bytes;
}

uint64_t FilesOf(const BackupManifest& manifest) {
  uint64_t files = 0;
  for (const auto& part : manifest.parts()) files += part.files_size();
  return files;
}

struct TakeFlags {
  std::string folder;
  size_t keep = 0;  // 0: all
  double within_hours = 6;
};

absl::StatusOr<int> Take(const Cli& cli, const TakeFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const std::filesystem::path folder = std::filesystem::absolute(flags.folder);
  RETURN_IF_ERROR(MakeFolders(folder));
  ASSIGN_OR_RETURN(const OwnedFd lock, LockFile(folder / "lock", "muster backup"));
  BackupRepository repository(folder);
  const bool table = cli.output == OutputFormat::kTable;
  TransferPrinter printer(table ? stdout : nullptr, StyleOf(stdout), "backing up", RealClock().Monotonic());
  TakeOptions options;
  options.within = absl::Hours(flags.within_hours);
  options.now = RealClock().Now();
  options.progress = [&](uint64_t bytes, uint64_t total) { printer.Update(bytes, total, "", RealClock().Monotonic()); };
  const absl::StatusOr<BackupSummary> taken = TakeBackup(connection, repository, options);
  printer.Finish();
  if (!taken.ok()) return WithContext(taken.status(), "backup");
  uint64_t freed = 0;
  if (flags.keep > 0) {
    ASSIGN_OR_RETURN(freed, repository.Prune(flags.keep));
  }
  if (!table) {
    const nlohmann::ordered_json json = {{"name", taken->name},           {"files", taken->files},
                                         {"bytes", taken->bytes},         {"new_files", taken->new_files},
                                         {"new_bytes", taken->new_bytes}, {"freed_bytes", freed}};
    std::printf("%s", Format(json, cli.output).c_str());
    return kExitSucceeded;
  }
  std::printf("backup %s: %s, %s; %s of them new, %s\n", taken->name.c_str(), Plural(taken->files, "file").c_str(),
              SizeText(taken->bytes).c_str(), WithThousands(taken->new_files).c_str(), SizeText(taken->new_bytes).c_str());
  if (freed > 0) std::printf("older backups removed: %s\n", SizeText(freed).c_str());
  return kExitSucceeded;
}

// Do not create a folder whose name was only misspelled: an empty list would look as if there were no backup yet.
absl::Status CheckIsRepository(const char* command, const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder / "backups", error)) return absl::OkStatus();
  const bool exists = std::filesystem::exists(folder, error);
  const char* what = exists ? " is not a folder of backups" : " does not exist";
  return absl::InvalidArgumentError(
      absl::StrCat(command, ": ", folder.string(), what, ". Name the folder that muster backup take wrote to."));
}

absl::StatusOr<int> ListBackups(const Cli& cli, const std::string& folder) {
  RETURN_IF_ERROR(CheckIsRepository("backup list", folder));
  const BackupRepository repository(folder);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, repository.List());
  nlohmann::ordered_json json = {{"backups", nlohmann::ordered_json::array()}};
  Table table({"NAME", "TAKEN", "FILES", "SIZE"});
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const BackupManifest manifest, repository.Read(name));
    table.Add({name, TimeText(manifest.taken()), WithThousands(FilesOf(manifest)), SizeText(BytesOf(manifest))});
    json["backups"].push_back({{"name", name}, {"files", FilesOf(manifest)}, {"bytes", BytesOf(manifest)}});
  }
  std::printf("%s", cli.output == OutputFormat::kTable ? table.Text(ColumnsOfTerminal(stdout)).c_str() : Format(json, cli.output).c_str());
  return kExitSucceeded;
}

absl::StatusOr<int> Verify(const Cli&, const std::string& folder, const std::string& name) {
  RETURN_IF_ERROR(CheckIsRepository("backup verify", folder));
  const BackupRepository repository(folder);
  ASSIGN_OR_RETURN(const BackupManifest manifest, repository.Read(name));
  RETURN_IF_ERROR(VerifyBackup(repository, manifest));
  std::printf("backup %s is complete: %s, %s\n", manifest.name().c_str(), Plural(FilesOf(manifest), "file").c_str(),
              SizeText(BytesOf(manifest)).c_str());
  return kExitSucceeded;
}

struct RestoreFlags {
  std::string folder, coordinator, data, name;
};

absl::StatusOr<int> Restore(const Cli& cli, const RestoreFlags& flags) {
  RETURN_IF_ERROR(CheckIsRepository("restore", flags.folder));
  TransferPrinter printer(cli.output == OutputFormat::kTable ? stdout : nullptr, StyleOf(stdout), "restoring",
                          RealClock().Monotonic());
  RestoreOptions options;
  options.backup = flags.name;
  options.coordinator = flags.coordinator;
  options.data = flags.data;
  options.now = RealClock().Now();
  options.progress = [&](uint64_t bytes, uint64_t total) { printer.Update(bytes, total, "", RealClock().Monotonic()); };
  const absl::StatusOr<BackupManifest> restored = RestoreBackup(BackupRepository(flags.folder), options);
  printer.Finish();
  RETURN_IF_ERROR(restored.status());
  std::printf("restored backup %s, taken %s\n", restored->name().c_str(), TimeText(restored->taken()).c_str());
  for (const auto& [server, folder] : {std::pair("coordinator", flags.coordinator), std::pair("data server", flags.data)}) {
    if (!folder.empty()) std::printf("  %s: %s\n", server, folder.c_str());
  }
  return kExitSucceeded;
}

}  // namespace

void AddBackupCommands(CLI::App& app, Cli& cli) {
  CLI::App* backup = app.add_subcommand("backup", "Back up a running cluster's state")->fallthrough();
  backup->require_subcommand(1);
  auto flags = std::make_shared<TakeFlags>();
  CLI::App* take = backup->add_subcommand("take", "Add a backup to a folder of backups")->fallthrough();
  take->add_option("folder", flags->folder, "Folder of backups; made if absent")->required()->type_name("FOLDER");
  take->add_option("--keep", flags->keep, "Remove all but the N newest; 0: keep all")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  take->add_option("--within", flags->within_hours, "Time limit in hours; the servers remove nothing meanwhile")
      ->check(CLI::Range(0.01, 23.0))
      ->capture_default_str();
  take->callback([&cli, flags] { cli.action = [&cli, flags] { return Take(cli, *flags); }; });

  auto folder = std::make_shared<std::string>();
  auto name = std::make_shared<std::string>();
  CLI::App* list = backup->add_subcommand("list", "List a folder's backups, oldest first")->fallthrough();
  list->add_option("folder", *folder, "Folder of backups")->required()->type_name("FOLDER");
  AsksNoCluster(list, cli);
  list->callback([&cli, folder] { cli.action = [&cli, folder] { return ListBackups(cli, *folder); }; });
  CLI::App* verify = backup->add_subcommand("verify", "Read a backup and compare every digest")->fallthrough();
  verify->add_option("folder", *folder, "Folder of backups")->required()->type_name("FOLDER");
  verify->add_option("--name", *name, "Name of the backup; the newest by default")->type_name("NAME");
  AsksNoCluster(verify, cli);
  PrintsItsOwnFormat(verify, cli);
  verify->callback([&cli, folder, name] { cli.action = [&cli, folder, name] { return Verify(cli, *folder, *name); }; });

  auto restore_flags = std::make_shared<RestoreFlags>();
  CLI::App* restore = app.add_subcommand("restore", "Write a backup into new state folders")->fallthrough();
  restore->add_option("folder", restore_flags->folder, "Folder of backups")->required()->type_name("FOLDER");
  CLI::Option* coordinator =
      restore->add_option("--coordinator", restore_flags->coordinator, "New state folder of the coordinator")->type_name("DIR");
  CLI::Option* data = restore->add_option("--data", restore_flags->data, "New state folder of the data server")->type_name("DIR");
  restore->add_option("--name", restore_flags->name, "Name of the backup; the newest by default")->type_name("NAME");
  AtLeastOne(*restore, "New state folders", {coordinator, data});
  AsksNoCluster(restore, cli);
  PrintsItsOwnFormat(restore, cli);
  restore->callback([&cli, restore_flags] { cli.action = [&cli, restore_flags] { return Restore(cli, *restore_flags); }; });
}

}  // namespace muster
