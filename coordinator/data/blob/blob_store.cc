#include "coordinator/data/blob/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kClaimLife = absl::Minutes(10);
constexpr size_t kMaxClaims = 10000;  // before old ones are dropped

std::string Short(const std::string& digest) { return absl::StrCat("blob ", digest.substr(0, 12)); }

absl::Status CheckDigest(const std::string& digest) {
  if (IsSha256Hex(digest)) return absl::OkStatus();
  return absl::InvalidArgumentError("a blob's digest is a SHA-256 in 64 hexadecimal digits of lower case");
}

absl::Status NotStored(const std::string& digest) {
  return WithReason(absl::NotFoundError(absl::StrCat(Short(digest), " is not stored")), "BLOB_NOT_FOUND");
}

uint64_t SizeOrZero(const std::filesystem::path& path) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(const std::filesystem::path& folder, const Clock& clock) {
  RETURN_IF_ERROR(MakeFolders(folder / "partial"));
  return std::unique_ptr<BlobStore>(new BlobStore(folder, clock));
}

bool BlobStore::MakeNew(const std::string& digest) {
  const absl::Time now = clock_.Now();
  const timespec time = absl::ToTimespec(now);
  const timespec times[2] = {time, time};
  if (utimensat(AT_FDCWD, Whole(digest).c_str(), times, 0) != 0) return false;
  if (claims_.size() >= kMaxClaims) {
    absl::erase_if(claims_, [&](const auto& claim) { return claim.second < now - kClaimLife; });
  }
  claims_[digest] = now;
  return true;
}

absl::StatusOr<muster::v1::BlobStat> BlobStore::Stat(const std::string& digest) {
  RETURN_IF_ERROR(CheckDigest(digest));
  absl::MutexLock lock(&mutex_);
  muster::v1::BlobStat stat;
  stat.set_digest(digest);
  stat.set_present(MakeNew(digest));
  if (stat.present()) {
    stat.set_size(SizeOrZero(Whole(digest)));
  } else {
    stat.set_partial_size(SizeOrZero(Partial(digest)));
  }
  return stat;
}

absl::Status BlobStore::Touch(const std::string& digest) {
  RETURN_IF_ERROR(CheckDigest(digest));
  absl::MutexLock lock(&mutex_);
  return MakeNew(digest) ? absl::OkStatus() : NotStored(digest);
}

absl::StatusOr<std::filesystem::path> BlobStore::PathOf(const std::string& digest) const {
  RETURN_IF_ERROR(CheckDigest(digest));
  struct stat info {};
  if (stat(Whole(digest).c_str(), &info) != 0) {
    if (errno == ENOENT) return NotStored(digest);
    return absl::ErrnoToStatus(errno, absl::StrCat(Short(digest), ": cannot be looked up"));
  }
  if (!S_ISREG(info.st_mode)) return NotStored(digest);
  return Whole(digest);
}

absl::Status BlobStore::PutBytes(const std::string& digest, std::string_view bytes) {
  muster::v1::PutBlobHeader header;
  header.set_digest(digest);
  header.set_size(bytes.size());
  absl::StatusOr<std::unique_ptr<BlobUpload>> upload = Upload(header);
  const auto ended = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !uploading_.contains(digest); };
  for (bool in_time = true; in_time && absl::IsUnavailable(upload.status()); upload = Upload(header)) {
    absl::MutexLock lock(&mutex_);
    in_time = mutex_.AwaitWithTimeout(absl::Condition(&ended), kPutWithin);
  }
  if (absl::IsAlreadyExists(upload.status())) return absl::OkStatus();
  if (!upload.ok()) return upload.status();
  RETURN_IF_ERROR((*upload)->Append(bytes));
  return (*upload)->Commit();
}

absl::Status BlobStore::Visit(const std::function<void(const StoredBlob&)>& visit) const {
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    struct stat info {};
    if (!IsSha256Hex(name) || entry.path() != Whole(name) || stat(entry.path().c_str(), &info) != 0) continue;
    visit({name, static_cast<uint64_t>(info.st_size), absl::TimeFromTimespec(info.st_mtim)});
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(folder_.string(), ": cannot be listed"));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredBlob>> BlobStore::List() const {
  std::vector<StoredBlob> blobs;
  RETURN_IF_ERROR(Visit([&](const StoredBlob& blob) { blobs.push_back(blob); }));
  std::ranges::sort(blobs, {}, &StoredBlob::digest);
  return blobs;
}

bool BlobStore::IsOlder(const std::string& digest, absl::Time time) const {
  struct stat info {};
  return stat(Whole(digest).c_str(), &info) == 0 && absl::TimeFromTimespec(info.st_mtim) < time;
}

absl::StatusOr<bool> BlobStore::Unlink(const std::string& digest) {
  if (unlink(Whole(digest).c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  return absl::ErrnoToStatus(errno, absl::StrCat(Short(digest), ": cannot be removed"));
}

absl::StatusOr<bool> BlobStore::DeleteUnlessClaimed(const std::string& digest, absl::Time let_go) {
  RETURN_IF_ERROR(CheckDigest(digest));
  absl::MutexLock lock(&mutex_);
  const auto claim = claims_.find(digest);
  if (claim != claims_.end() && claim->second >= clock_.Now() - kClaimLife) return false;
  return IsOlder(digest, let_go) ? Unlink(digest) : false;
}

absl::StatusOr<bool> BlobStore::DeleteUnlessUsedSince(const std::string& digest, absl::Time time) {
  RETURN_IF_ERROR(CheckDigest(digest));
  absl::MutexLock lock(&mutex_);
  return IsOlder(digest, time) ? Unlink(digest) : false;
}

absl::StatusOr<std::vector<StoredBlob>> BlobStore::PartialsBefore(absl::Time time) const {
  std::error_code error;
  std::vector<StoredBlob> old;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "partial", error)) {
    struct stat info {};
    if (stat(entry.path().c_str(), &info) != 0) continue;
    const absl::Time written = absl::TimeFromTimespec(info.st_mtim);
    if (written < time) old.push_back({entry.path().filename().string(), static_cast<uint64_t>(info.st_size), written});
  }
  if (error) return absl::ErrnoToStatus(error.value(), (folder_ / "partial").string());
  return old;
}

absl::Status BlobStore::DropPartialsBefore(absl::Time time) {
  ASSIGN_OR_RETURN(const std::vector<StoredBlob> old, PartialsBefore(time));
  std::error_code error;
  for (const StoredBlob& upload : old) std::filesystem::remove(Partial(upload.digest), error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), (folder_ / "partial").string());
}

std::filesystem::path BlobStore::AsideOf(const std::string& digest) const {
  std::filesystem::path aside = Partial(digest);
  aside += ".damaged";
  return aside;
}

absl::StatusOr<bool> BlobStore::SetAsideIfDamaged(const std::string& digest) {
  RETURN_IF_ERROR(CheckDigest(digest));
  ASSIGN_OR_RETURN(const std::string found, Sha256HexOfFile(Whole(digest)));
  if (found == digest) return false;
  const std::filesystem::path aside = AsideOf(digest);
  absl::MutexLock lock(&mutex_);
  if (rename(Whole(digest).c_str(), aside.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(Short(digest), ": is damaged, and cannot be set aside"));
  }
  const timespec time = absl::ToTimespec(clock_.Now());
  const timespec times[2] = {time, time};
  utimensat(AT_FDCWD, aside.c_str(), times, 0);  // from here on it is kept as long as an unfinished upload
  claims_.erase(digest);
  return true;
}

absl::StatusOr<std::unique_ptr<BlobUpload>> BlobStore::Upload(const muster::v1::PutBlobHeader& header) {
  ASSIGN_OR_RETURN(const muster::v1::BlobStat stat, Stat(header.digest()));
  if (stat.present()) return absl::AlreadyExistsError(absl::StrCat(Short(header.digest()), " is stored already"));
  if (header.size() > kMaxBlobBytes) {
    return absl::InvalidArgumentError(absl::StrCat(Short(header.digest()), ": ", header.size(),
                                                   " bytes, a blob has at most 64 GiB. Split the file."));
  }
  {
    absl::MutexLock lock(&mutex_);
    if (!uploading_.insert(header.digest()).second) {
      return absl::UnavailableError(absl::StrCat(Short(header.digest()), ": another upload of it is running. Try again."));
    }
  }
  std::unique_ptr<BlobUpload> upload(new BlobUpload(*this, header));
  RETURN_IF_ERROR(upload->Begin());
  return upload;
}

void BlobStore::Release(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  uploading_.erase(digest);
}

absl::Status BlobUpload::Begin() {
  const std::filesystem::path path = store_.Partial(header_.digest());
  const uint64_t there = SizeOrZero(path);
  if (header_.offset() > there) {
    return absl::OutOfRangeError(absl::StrCat(Short(header_.digest()), ": an upload from byte ", header_.offset(),
                                              ", but ", there, " are stored. Ask with Stat, and continue from that byte."));
  }
  file_.reset(std::fopen(path.c_str(), header_.offset() == 0 ? "wb" : "r+b"));
  if (file_ == nullptr || ftruncate(fileno(file_.get()), static_cast<off_t>(header_.offset())) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path.string(), ": cannot be written"));
  }
  std::vector<char> buffer(1 << 20);
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), file_.get())) {
    sha_.Update({buffer.data(), count});
    size_ += count;
  }
  if (size_ != header_.offset() || std::fseek(file_.get(), 0, SEEK_END) != 0) {
    return absl::DataLossError(absl::StrCat(path.string(), ": cannot be read"));
  }
  return absl::OkStatus();
}

BlobUpload::~BlobUpload() {
  file_.reset();
  store_.Release(header_.digest());
}

absl::Status BlobUpload::Append(std::string_view bytes) {
  if (bytes.size() > header_.size() - size_) {
    return absl::InvalidArgumentError(
        absl::StrCat(Short(header_.digest()), ": more than the ", header_.size(), " bytes that were announced"));
  }
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
    return absl::ResourceExhaustedError(absl::StrCat(Short(header_.digest()), ": cannot be written. Is the disk full?"));
  }
  sha_.Update(bytes);
  size_ += bytes.size();
  return absl::OkStatus();
}

absl::Status BlobUpload::Commit() {
  const std::filesystem::path partial = store_.Partial(header_.digest());
  if (size_ != header_.size()) {
    return absl::AbortedError(absl::StrCat(Short(header_.digest()), ": ", size_, " of ", header_.size(),
                                           " bytes arrived. Continue from there."));
  }
  if (sha_.FinishHex() != header_.digest()) {
    file_.reset();
    unlink(partial.c_str());
    return absl::DataLossError(absl::StrCat(Short(header_.digest()), ": the received bytes have another digest. Put them again."));
  }
  if (std::fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat(Short(header_.digest()), ": cannot be flushed. Is the disk full?"));
  }
  fchmod(fileno(file_.get()), 0444);
  const std::filesystem::path whole = store_.Whole(header_.digest());
  RETURN_IF_ERROR(MakeFolders(whole.parent_path()));
  const timespec now = absl::ToTimespec(store_.clock_.Now());
  const timespec times[2] = {now, now};
  futimens(fileno(file_.get()), times);  // the time it was stored, which a sweep reads
  std::error_code error;
  std::filesystem::rename(partial, whole, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(whole.string(), ": cannot be published"));
  return FlushToDisk(whole.parent_path());
}

}  // namespace muster
