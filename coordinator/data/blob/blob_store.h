// Blobs on disk: blobs/ab/abcd…, read-only once they are whole; broken uploads wait in blobs/partial/abcd…, and damaged
// blobs, for whoever looks into it, in blobs/partial/abcd….damaged.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/digest.h"
#include "muster/v1/blob.pb.h"

namespace muster {

class BlobUpload;

struct StoredBlob {
  std::string digest;
  uint64_t size = 0;
  absl::Time stored;  // when it was put, or was asked for by an upload that found it there
};

// Thread-safe. Digests that come from outside are checked here.
class BlobStore {
 public:
  static constexpr uint64_t kMaxBlobBytes = uint64_t{64} << 30;
  static constexpr absl::Duration kPutWithin = absl::Seconds(10);

  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(const std::filesystem::path& folder,
                                                         const Clock& clock = RealClock());

  // Whoever is told that a blob is there may refer to it without putting it again: Stat makes it as new as a put one.
  absl::StatusOr<muster::v1::BlobStat> Stat(const std::string& digest);
  // Makes it as new as a put one. NOT_FOUND (BLOB_NOT_FOUND) if it is not stored.
  absl::Status Touch(const std::string& digest);
  // NOT_FOUND (BLOB_NOT_FOUND) unless it is there and whole.
  absl::StatusOr<std::filesystem::path> PathOf(const std::string& digest) const;
  // OK if it is there already. Waits for another upload of it, at most kPutWithin.
  absl::Status PutBytes(const std::string& digest, std::string_view bytes);
  absl::StatusOr<std::vector<StoredBlob>> List() const;  // whole ones, by digest
  // Deletes what somebody let go at `let_go`. True: it went. One that was put since, or was asked for (Stat, Touch)
  // within 10 minutes, stays: somebody else may be about to refer to it.
  absl::StatusOr<bool> DeleteUnlessClaimed(const std::string& digest, absl::Time let_go);
  // Deletes one that was neither put nor asked for since `time`. True: it went.
  absl::StatusOr<bool> DeleteUnlessUsedSince(const std::string& digest, absl::Time time);
  // Removes partial uploads that were last written before `time`.
  absl::StatusOr<std::vector<StoredBlob>> PartialsBefore(absl::Time time) const;
  absl::Status DropPartialsBefore(absl::Time time);
  // For a reader who got other bytes than the digest says. If the stored ones are other bytes, the blob counts as not
  // stored from now on, so that it can be put again, and its bytes are kept like a partial upload. True: they were.
  absl::StatusOr<bool> SetAsideIfDamaged(const std::string& digest);

  // Begins or goes on: bytes before `offset` are those of the partial upload. UNAVAILABLE while another upload of the
  // blob runs; ALREADY_EXISTS if it is there; OUT_OF_RANGE for an offset beyond what is there.
  absl::StatusOr<std::unique_ptr<BlobUpload>> Upload(const muster::v1::PutHeader& header);

 private:
  friend class BlobUpload;
  BlobStore(std::filesystem::path folder, const Clock& clock) : folder_(std::move(folder)), clock_(clock) {}
  bool MakeNew(const std::string& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // false: it is not there
  bool IsOlder(const std::string& digest, absl::Time time) const;
  absl::StatusOr<bool> Unlink(const std::string& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::filesystem::path Whole(const std::string& digest) const { return folder_ / digest.substr(0, 2) / digest; }
  std::filesystem::path Partial(const std::string& digest) const { return folder_ / "partial" / digest; }
  void Release(const std::string& digest) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::filesystem::path folder_;
  const Clock& clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, absl::Time> claims_ ABSL_GUARDED_BY(mutex_);  // asked for, and there
  absl::flat_hash_set<std::string> uploading_ ABSL_GUARDED_BY(mutex_);
};

// One stream of bytes into the store. What was appended stays as the partial upload if Commit is not reached.
// Not thread-safe; must not outlive the store.
class BlobUpload {
 public:
  ~BlobUpload();
  absl::Status Append(std::string_view bytes);
  // Verifies size and digest, flushes, and publishes. DATA_LOSS if the bytes are others: the partial upload is
  // removed, so that the next one begins anew.
  absl::Status Commit();

 private:
  friend class BlobStore;
  BlobUpload(BlobStore& store, const muster::v1::PutHeader& header) : store_(store), header_(header) {}
  absl::Status Begin();

  BlobStore& store_;
  const muster::v1::PutHeader header_;
  std::unique_ptr<FILE, int (*)(FILE*)> file_{nullptr, &std::fclose};
  Sha256 sha_;
  uint64_t size_ = 0;
};

}  // namespace muster
