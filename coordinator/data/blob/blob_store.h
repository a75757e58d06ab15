// Blobs on disk: blobs/ab/abcd…, read-only once they are complete. Unfinished uploads are in blobs/partial/abcd…, and
// damaged blobs are kept for inspection in blobs/partial/abcd….damaged.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
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
  absl::Time stored;  // when it was stored, or an upload found it stored already
};

// Thread-safe. Digests that come from outside are checked here.
class BlobStore {
 public:
  static constexpr uint64_t kMaxBlobBytes = uint64_t{64} << 30;
  static constexpr absl::Duration kPutWithin = absl::Seconds(10);

  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(const std::filesystem::path& folder,
                                                         const Clock& clock = RealClock());

  // After Stat, a caller may refer to the blob without storing it again: Stat makes it as new as a stored one.
  absl::StatusOr<muster::v1::BlobStat> Stat(const std::string& digest);
  // Makes the blob as new as one just stored. NOT_FOUND (BLOB_NOT_FOUND) if it is not stored.
  absl::Status Touch(const std::string& digest);
  // NOT_FOUND (BLOB_NOT_FOUND) unless it is complete. Other errors: the disk does not say whether it is.
  absl::StatusOr<std::filesystem::path> PathOf(const std::string& digest) const;
  // OK if it is stored already. Waits for another upload of it, at most kPutWithin.
  absl::Status PutBytes(const std::string& digest, std::string_view bytes);
  absl::StatusOr<std::vector<StoredBlob>> List() const;  // complete blobs, by digest
  absl::Status Visit(const std::function<void(const StoredBlob&)>& visit) const;  // in any order
  // Deletes a blob that its only user released at `let_go`. True: it was deleted. A blob that was stored since, or requested
  // (Stat, Touch) within the last 10 minutes, stays, because somebody else may be about to refer to it.
  absl::StatusOr<bool> DeleteUnlessClaimed(const std::string& digest, absl::Time let_go);
  // Deletes a blob that was neither stored nor requested since `time`. True: it was deleted.
  absl::StatusOr<bool> DeleteUnlessUsedSince(const std::string& digest, absl::Time time);
  // Removes partial uploads that were last written before `time`.
  absl::StatusOr<std::vector<StoredBlob>> PartialsBefore(absl::Time time) const;
  absl::Status DropPartialsBefore(absl::Time time);
  // Call this after reading bytes that do not match the digest. If the stored bytes do not match either, the blob
  // counts as not stored from now on, so that it can be stored again, and its bytes are kept like a partial upload.
  // True: that was done.
  absl::StatusOr<bool> SetAsideIfDamaged(const std::string& digest);
  // Where the bytes are that it has set aside, as long as they are kept.
  std::filesystem::path AsideOf(const std::string& digest) const;

  // Begins or continues an upload: bytes before `offset` are those of the partial upload. UNAVAILABLE while another
  // upload of the blob runs; ALREADY_EXISTS if the blob is stored; OUT_OF_RANGE for an offset beyond the partial
  // upload.
  absl::StatusOr<std::unique_ptr<BlobUpload>> Upload(const muster::v1::PutBlobHeader& header);

 private:
  friend class BlobUpload;
  BlobStore(std::filesystem::path folder, const Clock& clock) : folder_(std::move(folder)), clock_(clock) {}
  bool MakeNew(const std::string& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // false: it does not exist
  bool IsOlder(const std::string& digest, absl::Time time) const;
  absl::StatusOr<bool> Unlink(const std::string& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::filesystem::path Whole(const std::string& digest) const { return folder_ / digest.substr(0, 2) / digest; }
  std::filesystem::path Partial(const std::string& digest) const { return folder_ / "partial" / digest; }
  void Release(const std::string& digest) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::filesystem::path folder_;
  const Clock& clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, absl::Time> claims_ ABSL_GUARDED_BY(mutex_);  // when Stat or Touch found the blob
  absl::flat_hash_set<std::string> uploading_ ABSL_GUARDED_BY(mutex_);
};

// One stream of bytes into the store. If Commit is not reached, the appended bytes stay as the partial upload. Not
// thread-safe; must not outlive the store.
class BlobUpload {
 public:
  ~BlobUpload();
  absl::Status Append(std::string_view bytes);
  // Verifies size and digest, flushes, and publishes. DATA_LOSS if they do not match: the partial upload is removed, so
  // that the next one starts over.
  absl::Status Commit();

 private:
  friend class BlobStore;
  BlobUpload(BlobStore& store, const muster::v1::PutBlobHeader& header) : store_(store), header_(header) {}
  absl::Status Begin();

  BlobStore& store_;
  const muster::v1::PutBlobHeader header_;
  std::unique_ptr<FILE, int (*)(FILE*)> file_{nullptr, &std::fclose};
  Sha256 sha_;
  uint64_t size_ = 0;
};

}  // namespace muster
