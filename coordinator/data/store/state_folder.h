// The data server's state folder: its layout, and the lock that only one process can hold.
//
//   catalogue.db       names (store/catalogue.h)
//   datasets/DIGEST/   datasets (store/dataset_format.h)
//   tokens/            token stores
//   blobs/             blobs (blob/blob_store.h)
//   scratch/           work in progress; emptied at the start
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

// A folder that is removed with its owner. Movable.
class ScratchFolder {
 public:
  static absl::StatusOr<ScratchFolder> Make(const std::filesystem::path& parent, std::string_view prefix);
  ScratchFolder(ScratchFolder&& other) noexcept;
  ScratchFolder& operator=(ScratchFolder&& other) noexcept;
  ~ScratchFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

class StateFolder {
 public:
  // Makes the folders, takes the lock, and removes what an earlier process left in scratch.
  // FAILED_PRECONDITION while another process uses the folder.
  static absl::StatusOr<std::unique_ptr<StateFolder>> Open(const std::filesystem::path& root);
  ~StateFolder();

  std::filesystem::path catalogue() const { return root_ / "catalogue.db"; }
  std::filesystem::path datasets() const { return root_ / "datasets"; }
  std::filesystem::path tokens() const { return root_ / "tokens"; }
  std::filesystem::path blobs() const { return root_ / "blobs"; }
  std::filesystem::path scratch() const { return root_ / "scratch"; }

  // RESOURCE_EXHAUSTED if less than 64 MiB would stay free after `bytes` more.
  absl::Status CheckRoom(uint64_t bytes) const;

 private:
  explicit StateFolder(std::filesystem::path root) : root_(std::move(root)) {}
  std::filesystem::path root_;
  int lock_ = -1;
};

}  // namespace muster
