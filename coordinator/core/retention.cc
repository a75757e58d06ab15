#include "coordinator/core/retention.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace muster {

using muster::v1::CheckpointInfo;

std::vector<std::string> AddCheckpoint(CheckpointInfo checkpoint, uint32_t keep, journal::v1::StoredJob& job) {
  std::vector<CheckpointInfo> all;
  std::set<std::string> before;
  for (const CheckpointInfo& known : job.checkpoints()) {
    before.insert(known.manifest());
    if (known.step() != checkpoint.step()) all.push_back(known);
  }
  const uint64_t step = checkpoint.step();
  all.push_back(std::move(checkpoint));
  std::sort(all.begin(), all.end(),
            [](const CheckpointInfo& a, const CheckpointInfo& b) { return a.step() < b.step(); });
  const auto end = std::find_if(all.begin(), all.end(), [&](const CheckpointInfo& known) { return known.step() > step; });
  const auto lineage = static_cast<size_t>(end - all.begin());
  job.clear_checkpoints();
  for (size_t i = lineage - std::min<size_t>(lineage, std::max<uint32_t>(keep, 1)); i < all.size(); ++i) {
    *job.add_checkpoints() = all[i];
  }
  std::set<std::string> after = {job.export_manifest(), job.trace_manifest(), job.step_log_manifest()};
  for (const CheckpointInfo& known : job.checkpoints()) after.insert(known.manifest());
  std::vector<std::string> dropped;
  for (const CheckpointInfo& known : all) before.insert(known.manifest());
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(dropped));
  return dropped;
}

std::vector<std::string> DropCheckpoints(journal::v1::StoredJob& job) {
  if (job.spec().checkpoint().keep_after_success() || job.step_log_manifest().empty() || job.export_manifest().empty()) {
    return {};
  }
  std::set<std::string> dropped;
  for (const CheckpointInfo& known : job.checkpoints()) dropped.insert(known.manifest());
  job.clear_checkpoints();
  std::erase_if(dropped, [&](const std::string& manifest) { return HasManifest(job, manifest); });
  return {dropped.begin(), dropped.end()};
}

bool HasManifest(const journal::v1::StoredJob& job, const std::string& manifest) {
  return job.export_manifest() == manifest || job.trace_manifest() == manifest || job.step_log_manifest() == manifest ||
         std::any_of(job.checkpoints().begin(), job.checkpoints().end(),
                     [&](const CheckpointInfo& known) { return known.manifest() == manifest; });
}

std::set<std::string> ManifestsOfModel(const muster::v1::ResolvedJob& resolved) {
  std::set<std::string> result;
  if (!resolved.has_model_checkpoint()) return result;
  for (const muster::v1::ModelCheckpoint* link = &resolved.model_checkpoint();; link = &link->base()) {
    result.insert({link->manifest(), link->tokenizer_manifest()});
    if (!link->has_base()) break;
  }
  result.erase("");
  return result;
}

bool IsReferenced(const State& state, const std::string& manifest) { return state.index.manifests.contains(manifest); }

std::vector<std::string> ReferencedManifests(const State& state, const std::string& after, size_t most) {
  std::vector<std::string> result;
  for (auto next = state.index.manifests.upper_bound(after); next != state.index.manifests.end(); ++next) {
    if (result.size() == most) break;
    result.push_back(next->first);
  }
  return result;
}

std::set<std::string> ManifestsOf(const JobRecord& record) {
  std::set<std::string> result = {record.job().export_manifest(), record.job().trace_manifest(),
                                  record.job().step_log_manifest()};
  for (const CheckpointInfo& checkpoint : record.job().checkpoints()) result.insert(checkpoint.manifest());
  for (const auto& refused : record.refused()) result.insert(refused.checkpoint().manifest());
  result.erase("");
  return result;
}

std::set<std::string> ReferencedBlobs(const State& state) {
  std::set<std::string> result;
  for (const auto& [digest, references] : state.index.vocabularies) result.insert(digest);
  return result;
}

std::string AddRoots(const State& state, const std::string& after, size_t most, Roots& roots) {
  const StateIndex& index = state.index;
  if (after.empty()) {
    for (const auto& [digest, references] : index.vocabularies) {
      if (references.needed > 0) roots.blobs.insert(digest);
    }
    for (const auto& [digest, count] : index.datasets) roots.datasets.insert(digest);
  }
  size_t visited = 0;
  auto next = index.manifests.upper_bound(after);
  for (; next != index.manifests.end() && visited < most; ++next, ++visited) {
    if (next->second.needed > 0) roots.manifests.insert(next->first);
  }
  return next == index.manifests.end() ? "" : std::prev(next)->first;
}

std::vector<std::string> ExpiredJobs(const State& state, absl::Time time, size_t most) {
  std::vector<std::string> ids;
  const int64_t before = absl::ToUnixNanos(time);
  for (const auto& [ended, id] : state.index.ended) {
    if (ids.size() == most || ended >= before) break;
    ids.push_back(id);
  }
  return ids;
}

std::vector<std::string> BlobsToDelete(const std::string& dropped_digest, const muster::v1::FileManifest& dropped,
                                       const std::vector<muster::v1::FileManifest>& kept,
                                       const std::set<std::string>& kept_blobs) {
  std::set<std::string> gone = {dropped_digest};
  for (const muster::v1::FileEntry& file : dropped.files()) gone.insert(file.digest());
  for (const muster::v1::FileManifest& manifest : kept) {
    for (const muster::v1::FileEntry& file : manifest.files()) gone.erase(file.digest());
  }
  for (const std::string& blob : kept_blobs) gone.erase(blob);
  return {gone.begin(), gone.end()};
}

}  // namespace muster
