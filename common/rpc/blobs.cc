#include "common/rpc/blobs.h"

#include <fcntl.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/errors.h"
#include "common/rpc/retry.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::BlobService;
using muster::v1::BlobStat;
using muster::v1::FileEntry;
using muster::v1::FileManifest;

constexpr size_t kChunkBytes = 1 << 20;
constexpr size_t kStatBatch = 1000;
constexpr uint64_t kMaxBytesInMemory = 64 << 20;
constexpr absl::Duration kUnaryDeadline = absl::Seconds(30);

std::string ShortDigest(const std::string& digest) { return digest.substr(0, 12); }

// How long calls are retried.
struct Persistence {
  grpc::Channel& channel;
  absl::Duration patience;
  ReachabilityWatch* watch = nullptr;
};

// Retries `attempt` while it fails with UNAVAILABLE, until `patience` has passed since `progress` last changed.
absl::Status Persist(const Persistence& persistence, const uint64_t& progress,
                     const std::function<absl::Status()>& attempt) {
  ReachabilityWatch::Wait waiting(persistence.watch);
  absl::Duration wait = absl::Milliseconds(100);
  absl::Duration last_progress = RealClock().Monotonic();
  uint64_t seen = progress;
  while (true) {
    const absl::Status status = attempt();
    if (!IsRetryable(status)) return status;
    const absl::Duration now = RealClock().Monotonic();
    if (progress != seen) {
      waiting.Moved();
      seen = progress;
      last_progress = now;
      wait = absl::Milliseconds(100);
    }
    const absl::Duration told = RateLimitOf(status);
    if (waiting.unreachable()) {
      last_progress = now;
    } else if (now - last_progress + std::max(wait, told) > persistence.patience) {
      return status;
    }
    if (told > absl::ZeroDuration()) {
      absl::SleepFor(told);
      continue;
    }
    PauseBeforeRetry(persistence.channel, wait);
    wait = std::min(wait * 2, absl::Duration(absl::Seconds(5)));
  }
}

absl::StatusOr<std::map<std::string, BlobStat>> Stat(const Persistence& persistence, BlobService::Stub& stub,
                                                     const std::vector<std::string>& digests) {
  std::map<std::string, BlobStat> stats;
  for (size_t begin = 0; begin < digests.size(); begin += kStatBatch) {
    muster::v1::StatBlobsRequest request;
    for (size_t i = begin; i < std::min(begin + kStatBatch, digests.size()); ++i) request.add_digests(digests[i]);
    muster::v1::StatBlobsResponse response;
    const uint64_t no_progress = 0;
    RETURN_IF_ERROR(Persist(persistence, no_progress, [&] {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(RealClock().Now() + kUnaryDeadline));
      return FromUncancelledCall(stub.StatBlobs(&context, request, &response));
    }));
    for (const BlobStat& stat : response.blobs()) stats[stat.digest()] = stat;
  }
  return stats;
}

using Report = std::function<void(uint64_t bytes)>;

// Sends the bytes from `offset` on, once.
absl::Status PutOnce(BlobService::Stub& stub, const std::string& digest, std::string_view bytes, uint64_t offset,
                     const Report& report) {
  grpc::ClientContext context;
  muster::v1::PutBlobResponse response;
  const auto writer = stub.PutBlob(&context, &response);
  muster::v1::PutBlobRequest request;
  request.mutable_header()->set_digest(digest);
  request.mutable_header()->set_size(bytes.size());
  request.mutable_header()->set_offset(offset);
  bool open = writer->Write(request);
  while (open && offset < bytes.size()) {
    const std::string_view chunk = bytes.substr(offset, kChunkBytes);
    request.set_chunk(chunk.data(), chunk.size());
    open = writer->Write(request);
    if (!open) break;
    offset += chunk.size();
    if (report) report(offset);
  }
  writer->WritesDone();
  return FromUncancelledCall(writer->Finish());
}

absl::Status PutView(const Persistence& persistence, BlobService::Stub& stub, const std::string& digest,
                     std::string_view bytes, const Report& report) {
  uint64_t stored = 0;  // how many bytes of a broken upload the server kept
  const absl::Status status = Persist(persistence, stored, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto stats, Stat({persistence.channel, absl::ZeroDuration()}, stub, {digest}));
    const auto found = stats.find(digest);
    if (found != stats.end() && found->second.present()) {
      if (report) report(bytes.size());
      return absl::OkStatus();
    }
    stored = found == stats.end() ? 0 : std::min<uint64_t>(found->second.partial_size(), bytes.size());
    return PutOnce(stub, digest, bytes, stored, report);
  });
  return WithContext(status, absl::StrCat("put blob ", ShortDigest(digest)));
}

// Receives a blob from `done` on, without retries. `take` returns an error to stop.
absl::Status GetOnce(BlobService::Stub& stub, const std::string& digest, uint64_t& done,
                     const std::function<absl::Status(std::string_view chunk, uint64_t size)>& take) {
  grpc::ClientContext context;
  muster::v1::GetBlobRequest request;
  request.set_digest(digest);
  request.set_offset(done);
  const auto reader = stub.GetBlob(&context, request);
  muster::v1::GetBlobResponse response;
  uint64_t size = 0;
  absl::Status taken;
  while (taken.ok() && reader->Read(&response)) {
    if (response.size() != 0) size = response.size();
    taken = take(response.chunk(), size);
    if (taken.ok()) done += response.chunk().size();
  }
  if (!taken.ok()) context.TryCancel();
  const absl::Status status = FromUncancelledCall(reader->Finish());
  return taken.ok() ? status : taken;
}

// A file to which bytes are appended. Removed unless Keep was called.
class PartFile {
 public:
  explicit PartFile(const std::filesystem::path& target) : target_(target), part_(target) {
    part_ += absl::StrCat(".part-", getpid());
    fd_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile() {
    if (fd_ >= 0) close(fd_);
    if (!kept_) unlink(part_.c_str());
  }
  bool is_open() const { return fd_ >= 0; }
  absl::Status Append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, absl::StrCat(target_.string(), ": write"));
      if (count > 0) bytes.remove_prefix(count);
    }
    return absl::OkStatus();
  }
  absl::Status Keep() {
    if (fsync(fd_) != 0) return absl::ErrnoToStatus(errno, absl::StrCat(target_.string(), ": flush"));
    if (rename(part_.c_str(), target_.c_str()) != 0) return absl::ErrnoToStatus(errno, target_.string());
    kept_ = true;
    return absl::OkStatus();
  }

 private:
  std::filesystem::path target_, part_;
  int fd_ = -1;
  bool kept_ = false;
};

absl::Status CheckDigest(const std::string& digest, const std::string& found) {
  if (found == digest) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("blob ", ShortDigest(digest), ": what arrived has digest ", ShortDigest(found), ". Try again."));
}

absl::StatusOr<std::vector<std::string>> FilesBelow(const std::filesystem::path& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), folder.string());
  for (; it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    if (it->is_regular_file(error)) paths.push_back(it->path().lexically_relative(folder).generic_string());
    if (error) return absl::ErrnoToStatus(error.value(), it->path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

BlobClient::BlobClient(std::shared_ptr<grpc::Channel> channel, absl::Duration patience, ReachabilityWatch* watch)
    : channel_(std::move(channel)), stub_(BlobService::NewStub(channel_)), patience_(patience), watch_(watch) {}

absl::StatusOr<FileEntry> BlobClient::PutFile(const std::filesystem::path& file, const std::string& name,
                                              const Progress& progress) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
  FileEntry entry;
  entry.set_path(name);
  entry.set_digest(Sha256Hex(mapped.bytes()));
  entry.set_size(mapped.size());
  RETURN_IF_ERROR(WithContext(PutView({*channel_, patience_, watch_}, *stub_, entry.digest(), mapped.bytes(),
                                      [&](uint64_t bytes) {
                                        if (progress) progress(bytes, mapped.size());
                                      }),
                              file.string()));
  return entry;
}

absl::StatusOr<std::string> BlobClient::PutBytes(std::string_view bytes) {
  std::string digest = Sha256Hex(bytes);
  RETURN_IF_ERROR(PutView({*channel_, patience_, watch_}, *stub_, digest, bytes, {}));
  return digest;
}

absl::StatusOr<FileManifest> BlobClient::PutFolder(const std::filesystem::path& folder, const Progress& progress) {
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, FilesBelow(folder));
  uint64_t total = 0, before = 0;
  for (const std::string& path : paths) {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(folder / path, error);
    if (error) return absl::ErrnoToStatus(error.value(), (folder / path).string());
    total += size;
  }
  FileManifest manifest;
  for (const std::string& path : paths) {
    const Progress within = [&](uint64_t bytes, uint64_t) {
      if (progress) progress(before + bytes, total);
    };
    ASSIGN_OR_RETURN(FileEntry entry, PutFile(folder / path, path, within));
    before += entry.size();
    *manifest.add_files() = std::move(entry);
  }
  return manifest;
}

absl::StatusOr<std::string> BlobClient::PutManifest(const FileManifest& manifest) {
  std::vector<FileEntry> files(manifest.files().begin(), manifest.files().end());
  std::sort(files.begin(), files.end(), [](const FileEntry& a, const FileEntry& b) { return a.path() < b.path(); });
  FileManifest sorted;
  for (FileEntry& file : files) *sorted.add_files() = std::move(file);
  return PutBytes(sorted.SerializeAsString());  // no maps and no unknown fields: its bytes are determined
}

absl::Status BlobClient::GetFile(const std::string& digest, const std::filesystem::path& target,
                                 const std::function<void(uint64_t)>& progress) {
  if (target.has_parent_path()) RETURN_IF_ERROR(MakeFolders(target.parent_path()));
  PartFile part(target);
  if (!part.is_open()) return absl::ErrnoToStatus(errno, absl::StrCat(target.string(), ": cannot be made"));
  Sha256 sha;
  uint64_t done = 0;
  RETURN_IF_ERROR(WithContext(Persist({*channel_, patience_, watch_}, done,
                                      [&] {
                                        return GetOnce(*stub_, digest, done,
                                                       [&](std::string_view chunk, uint64_t) -> absl::Status {
                                                         RETURN_IF_ERROR(part.Append(chunk));
                                                         sha.Update(chunk);
                                                         if (progress) progress(done + chunk.size());
                                                         return absl::OkStatus();
                                                       });
                                      }),
                              absl::StrCat("get blob ", ShortDigest(digest))));
  RETURN_IF_ERROR(CheckDigest(digest, sha.FinishHex()));
  return part.Keep();
}

absl::StatusOr<std::string> BlobClient::GetBytes(const std::string& digest) {
  std::string bytes;
  uint64_t done = 0;
  RETURN_IF_ERROR(WithContext(
      Persist({*channel_, patience_, watch_}, done,
              [&] {
                return GetOnce(*stub_, digest, done, [&](std::string_view chunk, uint64_t size) -> absl::Status {
                  if (size > kMaxBytesInMemory || bytes.size() + chunk.size() > kMaxBytesInMemory) {
                    return absl::ResourceExhaustedError("is larger than 64 MiB; get it as a file");
                  }
                  bytes.append(chunk);
                  return absl::OkStatus();
                });
              }),
      absl::StrCat("get blob ", ShortDigest(digest))));
  RETURN_IF_ERROR(CheckDigest(digest, Sha256Hex(bytes)));
  return bytes;
}

absl::StatusOr<FileManifest> BlobClient::GetManifest(const std::string& digest) {
  ASSIGN_OR_RETURN(const std::string bytes, GetBytes(digest));
  FileManifest manifest;
  if (!manifest.ParseFromString(bytes)) {
    return absl::DataLossError(absl::StrCat("blob ", ShortDigest(digest), ": is not a manifest"));
  }
  return manifest;
}

absl::Status BlobClient::GetFolder(const FileManifest& manifest, const std::filesystem::path& folder,
                                   const Progress& progress) {
  uint64_t total = 0, before = 0;
  std::set<std::string> paths;
  for (const FileEntry& file : manifest.files()) {
    if (!IsSafeRelativePath(file.path()) || !paths.insert(file.path()).second) {
      return absl::InvalidArgumentError(absl::StrCat("manifest: unsafe or repeated path \"", file.path(), "\""));
    }
    total += file.size();
  }
  RETURN_IF_ERROR(MakeFolders(folder));
  for (const FileEntry& file : manifest.files()) {
    const std::filesystem::path target = folder / file.path();
    const absl::StatusOr<std::string> existing = Sha256HexOfFile(target);
    if (!existing.ok() || *existing != file.digest()) {
      RETURN_IF_ERROR(WithContext(GetFile(file.digest(), target,
                                          [&](uint64_t bytes) {
                                            if (progress) progress(before + bytes, total);
                                          }),
                                  file.path()));
    }
    before += file.size();
    if (progress) progress(before, total);
  }
  return absl::OkStatus();
}

}  // namespace muster
