#include "common/backup/repository.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::BackupManifest;

constexpr char kSuffix[] = ".json";
constexpr uint32_t kFormat = 1;

absl::Status CheckManifest(const BackupManifest& manifest, const std::filesystem::path& file) {
  if (manifest.format() != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat(file.string(), ": has format ", manifest.format(), ", this is for ",
                                                      kFormat, ". Use the version of muster that wrote it."));
  }
  for (const muster::internal::v1::BackupPart& part : manifest.parts()) {
    for (const muster::internal::v1::CopyFile& entry : part.files()) {
      if (IsSafeRelativePath(entry.path()) && IsSha256Hex(entry.digest())) continue;
      return absl::DataLossError(absl::StrCat(file.string(), ": the entry \"", entry.path(), "\" is damaged. Use another backup."));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> BackupRepository::List() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "backups", error)) {
    if (entry.path().extension() == kSuffix) names.push_back(entry.path().stem().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) return absl::ErrnoToStatus(error.value(), folder_.string());
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<BackupManifest> BackupRepository::Read(const std::string& name) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, List());
  if (names.empty()) return absl::NotFoundError(absl::StrCat(folder_.string(), ": has no whole backup"));
  const std::string chosen = name.empty() || name == "latest" ? names.back() : name;
  if (std::find(names.begin(), names.end(), chosen) == names.end()) {
    return absl::NotFoundError(absl::StrCat(folder_.string(), ": has no backup \"", chosen, "\". There are: ", absl::StrJoin(names, ", "), "."));
  }
  const std::filesystem::path file = folder_ / "backups" / (chosen + kSuffix);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  BackupManifest manifest;
  if (!google::protobuf::util::JsonStringToMessage(text, &manifest).ok()) {
    return absl::DataLossError(absl::StrCat(file.string(), ": is damaged. Use another backup."));
  }
  RETURN_IF_ERROR(CheckManifest(manifest, file));
  return manifest;
}

bool BackupRepository::Has(const std::string& digest, uint64_t size) const {
  std::error_code error;
  return std::filesystem::file_size(PathOf(digest), error) == size && !error;
}

absl::Status BackupRepository::Prepare() {
  RETURN_IF_ERROR(MakeFolders(folder_ / "files"));
  RETURN_IF_ERROR(MakeFolders(folder_ / "backups"));
  std::error_code error;
  std::filesystem::remove_all(folder_ / "incoming", error);  // left by an interrupted backup
  return MakeFolders(folder_ / "incoming");
}

absl::StatusOr<std::string> BackupRepository::Store(const std::function<absl::Status(const Sink&)>& fill,
                                                    const std::string& expected) {
  const std::filesystem::path aside = folder_ / "incoming" / "file";
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(aside.c_str(), "wb"), &std::fclose);
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat(aside.string(), ": cannot be made"));
  Sha256 sha;
  RETURN_IF_ERROR(fill([&](std::string_view chunk) -> absl::Status {
    sha.Update(chunk);
    if (std::fwrite(chunk.data(), 1, chunk.size(), file.get()) == chunk.size()) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, absl::StrCat(aside.string(), ": cannot be written"));
  }));
  const std::string digest = sha.FinishHex();
  if (!expected.empty() && digest != expected) {
    return absl::DataLossError(absl::StrCat("blob ", expected.substr(0, 12), " has another content on the server: it is damaged there"));
  }
  if (std::fflush(file.get()) != 0 || fsync(fileno(file.get())) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(aside.string(), ": cannot be flushed to disk"));
  }
  file.reset();
  const std::filesystem::path target = PathOf(digest);
  RETURN_IF_ERROR(MakeFolders(target.parent_path()));
  std::error_code error;
  std::filesystem::rename(aside, target, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(target.string(), ": cannot be written"));
  RETURN_IF_ERROR(FlushToDisk(target.parent_path()));
  return digest;
}

absl::Status BackupRepository::Write(const BackupManifest& manifest) {
  BackupManifest copy = manifest;
  copy.set_format(kFormat);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(copy, &text, options).ok()) {
    return absl::InternalError("the backup's manifest cannot be written as JSON");
  }
  RETURN_IF_ERROR(FlushToDisk(folder_ / "files"));
  return WriteFileAtomically(folder_ / "backups" / (copy.name() + kSuffix), text);
}

absl::StatusOr<uint64_t> BackupRepository::Prune(size_t keep) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, List());
  std::set<std::string> used;
  for (size_t i = names.size() - std::min(names.size(), keep); i < names.size(); ++i) {
    ASSIGN_OR_RETURN(const BackupManifest manifest, Read(names[i]));
    for (const auto& part : manifest.parts()) {
      for (const auto& entry : part.files()) used.insert(entry.digest());
    }
  }
  std::error_code error;
  for (size_t i = 0; i + keep < names.size(); ++i) {
    std::filesystem::remove(folder_ / "backups" / (names[i] + kSuffix), error);
  }
  RETURN_IF_ERROR(FlushToDisk(folder_ / "backups"));  // removes lists before contents
  uint64_t freed = 0;
  std::vector<std::filesystem::path> unused;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "files", error)) {
    if (!entry.is_regular_file(error) || used.contains(entry.path().filename().string())) continue;
    freed += entry.file_size(error);
    unused.push_back(entry.path());
  }
  for (const auto& path : unused) std::filesystem::remove(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), (folder_ / "files").string());
  return freed;
}

absl::Status VerifyBackup(const BackupRepository& repository, const BackupManifest& manifest) {
  std::set<std::string> seen;
  for (const muster::internal::v1::BackupPart& part : manifest.parts()) {
    for (const muster::internal::v1::CopyFile& entry : part.files()) {
      if (!seen.insert(entry.digest()).second) continue;
      const absl::StatusOr<std::string> digest = Sha256HexOfFile(repository.PathOf(entry.digest()));
      if (digest.ok() && *digest == entry.digest()) continue;
      return absl::DataLossError(absl::StrCat("backup ", manifest.name(), ": ", part.server(), "/", entry.path(),
                                              digest.ok() ? " is damaged" : " is missing", " (",
                                              repository.PathOf(entry.digest()).string(), "). Use another backup."));
    }
  }
  return absl::OkStatus();
}

}  // namespace muster
