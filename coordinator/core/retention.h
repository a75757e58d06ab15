// Which checkpoints a job keeps, and which blobs may go.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "muster/v1/blob.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Puts a checkpoint into job.checkpoints (ascending steps; one of the same step is replaced), keeps the `keep` newest
// (at least one), and returns the manifests that the job no longer refers to.
std::vector<std::string> AddCheckpoint(muster::v1::CheckpointInfo checkpoint, uint32_t keep, muster::v1::Job& job);

// Every manifest that some job refers to: kept checkpoints, exports, the models and tokenizers that jobs resolved.
std::set<std::string> ReferencedManifests(const State& state);

// Digests of blobs that jobs name without a manifest (vocabularies). They are never deleted.
std::set<std::string> ReferencedBlobs(const State& state);

// The blobs of a dropped manifest that no kept one shares; with the dropped manifest's own digest.
std::vector<std::string> BlobsToDelete(const std::string& dropped_digest, const muster::v1::FileManifest& dropped,
                                       const std::vector<muster::v1::FileManifest>& kept,
                                       const std::set<std::string>& kept_blobs);

}  // namespace muster
