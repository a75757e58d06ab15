// Moves files and folders to and from a BlobService, by digest: resumable, and verified at both ends.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/reachability.h"
#include "muster/v1/blob.grpc.pb.h"

namespace muster {

// Thread-safe. Calls that fail with UNAVAILABLE continue where they stopped, until `patience` has passed without
// progress. With a watch, the time in which the server cannot be reached does not count, so the call waits as long as
// necessary.
class BlobClient {
 public:
  using Progress = std::function<void(uint64_t bytes_done, uint64_t bytes_total)>;
  explicit BlobClient(std::shared_ptr<grpc::Channel> channel, absl::Duration patience = absl::Minutes(2),
                      ReachabilityWatch* watch = nullptr);

  // Puts one file (nothing is sent if the server has it); returns its digest.
  absl::StatusOr<muster::v1::FileEntry> PutFile(const std::filesystem::path& file, const std::string& name,
                                                const Progress& progress = {});
  absl::StatusOr<std::string> PutBytes(std::string_view bytes);  // returns the digest
  // Puts all regular files below `folder`. Returns the manifest, sorted by path.
  absl::StatusOr<muster::v1::FileManifest> PutFolder(const std::filesystem::path& folder,
                                                     const Progress& progress = {});
  // Stores the manifest itself as a blob and returns its digest.
  absl::StatusOr<std::string> PutManifest(const muster::v1::FileManifest& manifest);

  absl::Status GetFile(const std::string& digest, const std::filesystem::path& target,
                       const std::function<void(uint64_t bytes)>& progress = {});
  absl::StatusOr<std::string> GetBytes(const std::string& digest);  // at most 64 MiB
  absl::StatusOr<muster::v1::FileManifest> GetManifest(const std::string& digest);
  // Writes the manifest's files below `folder` (made if absent; existing files with the right digest are kept).
  absl::Status GetFolder(const muster::v1::FileManifest& manifest, const std::filesystem::path& folder,
                         const Progress& progress = {});

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<muster::v1::BlobService::Stub> stub_;
  const absl::Duration patience_;
  ReachabilityWatch* const watch_;
};

}  // namespace muster
