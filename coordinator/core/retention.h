// Which checkpoints a job keeps, and which blobs may be deleted.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/state.h"
#include "muster/v1/blob.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Puts a checkpoint into job.checkpoints (ascending steps; one of the same step is replaced), and returns the manifests
// that the job no longer refers to. The `keep` newest steps up to the new one stay (at least one): the new one
// and what its attempt continued from. Later steps stay, too. They belong to earlier attempts and may be undamaged: an attempt
// of an older version skipped them without a report. They are dropped when training passes them.
std::vector<std::string> AddCheckpoint(muster::v1::CheckpointInfo checkpoint, uint32_t keep,
                                       journal::v1::StoredJob& job);

// Removes the checkpoints of a job that has succeeded, unless its specification keeps them. Returns the manifests that the
// job no longer refers to. A job whose step log is not stored separately keeps them, because they contain the log.
std::vector<std::string> DropCheckpoints(journal::v1::StoredJob& job);

// Whether the job refers to the manifest: as a checkpoint, its export, its trace or its step log.
bool HasManifest(const journal::v1::StoredJob& job, const std::string& manifest);

// Manifests of the checkpoints that the job's model comes from (model.from: job:ID@STEP), and of their tokenizers.
std::set<std::string> ManifestsOfModel(const muster::v1::ResolvedJob& resolved);

// The manifests that some job refers to: kept and refused checkpoints, exports, traces, the models and tokenizers that jobs
// resolved. Sorted; those after `after`, at most `most`. Fewer than `most`: there are no more.
std::vector<std::string> ReferencedManifests(const State& state, const std::string& after, size_t most);
bool IsReferenced(const State& state, const std::string& manifest);

// The manifests that the job itself made: checkpoints, refused ones, export, trace and step log.
std::set<std::string> ManifestsOf(const JobRecord& record);

// Digests of blobs that jobs name without a manifest (vocabularies). They are never deleted.
std::set<std::string> ReferencedBlobs(const State& state);

// Everything that the data server must keep for jobs. A job that has ended needs its checkpoints, export and step log. A job
// that has not ended, or that has checkpoints from which another job may start, also needs the sources of its model.
struct Roots {
  std::set<std::string> manifests, blobs, datasets;  // digests
};
// Adds one part at a time, so that the event loop is not blocked for all of them: what belongs to the `most` (at least 1)
// manifests that follow `after`; the first part (`after` is empty) has the blobs and the datasets too. Returns the `after` of
// the next part; empty: there is none. A digest that is needed during the whole series of calls is in some part.
std::string AddRoots(const State& state, const std::string& after, size_t most, Roots& roots);

inline constexpr size_t kMostRetired = 100;  // jobs in one decision
// Ids of jobs that ended before `time`, at most `most`.
std::vector<std::string> ExpiredJobs(const State& state, absl::Time time, size_t most);

// The blobs of a dropped manifest that no kept one shares; with the dropped manifest's own digest.
std::vector<std::string> BlobsToDelete(const std::string& dropped_digest, const muster::v1::FileManifest& dropped,
                                       const std::vector<muster::v1::FileManifest>& kept,
                                       const std::set<std::string>& kept_blobs);

}  // namespace muster
