// A folder of backups:
//
//   files/ab/abcd…        contents by their SHA-256, shared by all backups
//   backups/NAME.json     a BackupManifest: written last, so an interrupted backup has none
//   lock                  one writer at a time
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/internal/v1/backup.pb.h"

namespace muster {

class BackupRepository {
 public:
  explicit BackupRepository(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }
  absl::StatusOr<std::vector<std::string>> List() const;  // names, oldest first; empty if the folder does not exist
  // `name`: "latest" or empty means the newest. NOT_FOUND lists the existing names. Checks the manifest: its paths stay
  // inside the folder.
  absl::StatusOr<muster::internal::v1::BackupManifest> Read(const std::string& name) const;

  bool Has(const std::string& digest, uint64_t size) const;
  std::filesystem::path PathOf(const std::string& digest) const { return folder_ / "files" / digest.substr(0, 2) / digest; }

  // The following are for the writer.
  absl::Status Prepare();
  // Stores what `fill` writes to its argument, and returns the digest. With `expected`: DATA_LOSS if the digest
  // differs.
  using Sink = std::function<absl::Status(std::string_view chunk)>;
  absl::StatusOr<std::string> Store(const std::function<absl::Status(const Sink&)>& fill, const std::string& expected);
  absl::Status Write(const muster::internal::v1::BackupManifest& manifest);
  // Removes all but the `keep` newest backups, and the contents that no remaining backup needs. Returns the number of
  // freed bytes.
  absl::StatusOr<uint64_t> Prune(size_t keep);

 private:
  const std::filesystem::path folder_;
};

// Reads every file of the backup and compares its digest. DATA_LOSS names the first file that is missing or differs.
absl::Status VerifyBackup(const BackupRepository& repository, const muster::internal::v1::BackupManifest& manifest);

}  // namespace muster
