// Which blobs the manifests of models and jobs name, if a manifest can be damaged, missing or unreadable for a while.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "coordinator/data/service/data_stores.h"

namespace muster {

// 32 bytes per digest.
class DigestSet {
 public:
  using Digest = std::array<uint8_t, 32>;
  static std::optional<Digest> Parse(std::string_view hex);
  static std::string HexOf(const Digest& digest);

  void Add(std::string_view hex);  // ignored unless it is a digest, because blobs have no other names
  void Add(const Digest& digest) { digests_.insert(digest); }
  bool Has(std::string_view hex) const;
  bool Has(const Digest& digest) const { return digests_.contains(digest); }
  auto begin() const { return digests_.begin(); }
  auto end() const { return digests_.end(); }

 private:
  absl::flat_hash_set<Digest> digests_;
};

// A manifest that can never be read: it has other bytes than its digest says, or is not a manifest, or is missing. One that
// jobs refer to and that is missing without a trace does not count: its checkpoint may have been dropped meanwhile.
struct LostManifest {
  std::string digest;  // hexadecimal
  std::string owner;   // "model NAME"; empty: jobs
  absl::Status status;   // NOT_FOUND; DATA_LOSS: other bytes; INVALID_ARGUMENT: not a manifest
};
// For a person: which one it is, what is wrong, and what helps.
std::string DescribeLost(const LostManifest& lost);

struct NeededBlobs {
  DigestSet digests;
  // Their own digests are in `digests`, and those that their damaged bytes still contain. Other files that they named are
  // not, so they are garbage unless something else needs them: nobody can still read them through this manifest.
  std::vector<LostManifest> lost;
};

// These add the manifest and the files that it names. A lost manifest is not an error. An error (of the disk, a permission) may
// pass: what the manifest names is not known now, so no blob may be removed.
absl::Status AddBlobsOfManifest(const BlobStore& blobs, const std::string& digest, NeededBlobs& needed);  // that jobs need
// Of every model with a name, with the manifest of its tokenizer, which appears when a job resolves the model.
absl::Status AddBlobsOfModels(const DataStores& stores, NeededBlobs& needed);

}  // namespace muster
