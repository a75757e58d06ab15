// The server's half of a backup (proto/muster/internal/v1/backup.proto). Each server implements a BackupSource.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/access/admission.h"
#include "muster/internal/v1/backup.pb.h"

namespace muster {

struct BackupFile {
  muster::internal::v1::CopyFile entry;
  std::filesystem::path from;  // where its bytes are
};

struct BackupSource {
  std::string server, version;
  // The server removes nothing until the returned value is destroyed.
  std::function<std::shared_ptr<void>()> hold = [] { return std::shared_ptr<void>(); };
  std::filesystem::path scratch;  // a folder for copies of databases
  // Copies databases into the empty folder `folder`, and lists every file of the backup.
  std::function<absl::StatusOr<std::vector<BackupFile>>(const std::filesystem::path& folder)> list;
};

std::unique_ptr<grpc::Service> MakeBackupService(BackupSource source, Admission& admission);  // `admission` must outlive it

// Lists the regular files below root/folder as "folder/…", with stamps.
absl::Status ListFolder(const std::filesystem::path& root, const std::string& folder, std::vector<BackupFile>& files);
// Lists the file at `from` as `path`.
absl::StatusOr<BackupFile> ListFile(const std::string& path, const std::filesystem::path& from);

}  // namespace muster
