// A checkpoint of another job as a folder that models are loaded from (model.from: job:ID@STEP).
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Writes the checkpoint below `scratch`, as its job would have exported these weights, and returns the folder. Equal on all
// ranks and hosts. `base`: digest of the FileManifest from which the chain's first job trained; empty: a preset. `cache`: the
// host's, of folders by digest. DATA_LOSS: the checkpoint is damaged.
absl::StatusOr<std::filesystem::path> FolderOfCheckpoint(const muster::v1::ModelCheckpoint& checkpoint, const std::string& base,
                                                         BlobClient& blobs, const std::filesystem::path& cache,
                                                         const std::filesystem::path& scratch);

}  // namespace muster
