#include "common/rpc/backup_service.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/status.h"
#include "muster/internal/v1/backup.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::CopyRequest;
using muster::internal::v1::CopyResponse;

constexpr size_t kCopyBytes = 1 << 20;
constexpr int kFilesAMessage = 1000;
constexpr absl::Duration kLongest = absl::Hours(24);  // the longest time for which one backup may prevent removals

using Stream = grpc::ServerReaderWriter<CopyResponse, CopyRequest>;

// One backup: the removal gate, the copies of databases, and the listed files.
class CopyCall {
 public:
  CopyCall(const BackupSource& source, Stream& stream) : source_(source), stream_(stream) {}
  ~CopyCall() {
    std::error_code ignored;
    if (!scratch_.empty()) std::filesystem::remove_all(scratch_, ignored);
  }

  absl::Status Run() {
    CopyRequest request;
    while (stream_.Read(&request)) {
      switch (request.request_case()) {
        case CopyRequest::kHold: RETURN_IF_ERROR(Hold()); break;
        case CopyRequest::kList: RETURN_IF_ERROR(List()); break;
        case CopyRequest::kRead: RETURN_IF_ERROR(Send(request.read().path())); break;
        case CopyRequest::REQUEST_NOT_SET: return absl::InvalidArgumentError("backup: an empty request");
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Write(const CopyResponse& response) {
    return stream_.Write(response) ? absl::OkStatus() : absl::CancelledError("the client has gone");
  }

  absl::Status Hold() {
    hold_ = source_.hold();
    held_ = true;
    CopyResponse response;
    response.mutable_held()->set_server(source_.server);
    response.mutable_held()->set_version(source_.version);
    return Write(response);
  }

  absl::Status List() {
    if (!held_ || !files_.empty()) return absl::FailedPreconditionError("backup: hold first, then list once");
    ASSIGN_OR_RETURN(scratch_, MakeScratchFolder(source_.scratch, "backup"));
    ASSIGN_OR_RETURN(const std::vector<BackupFile> files, source_.list(scratch_));
    CopyResponse response;
    for (const BackupFile& file : files) {
      files_[file.entry.path()] = file;
      *response.mutable_files()->add_files() = file.entry;
      if (response.files().files_size() < kFilesAMessage) continue;
      RETURN_IF_ERROR(Write(response));
      response.Clear();
    }
    if (response.has_files()) RETURN_IF_ERROR(Write(response));
    response.mutable_listed();
    return Write(response);
  }

  absl::Status Send(const std::string& path) {
    const auto found = files_.find(path);
    if (found == files_.end()) return absl::NotFoundError(absl::StrCat("backup: \"", path, "\" was not listed"));
    const BackupFile& file = found->second;
    const std::unique_ptr<FILE, int (*)(FILE*)> in(std::fopen(file.from.c_str(), "rbe"), &std::fclose);
    if (in == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat(file.from.string(), ": cannot be opened"));
    CopyResponse response;
    std::string buffer(kCopyBytes, '\0');
    for (uint64_t left = file.entry.size(); left > 0;) {
      const size_t count = std::fread(buffer.data(), 1, std::min<uint64_t>(left, kCopyBytes), in.get());
      if (count == 0) {
        return absl::DataLossError(absl::StrCat(file.from.string(), ": is shorter than listed. Take the backup again."));
      }
      response.set_chunk(buffer.data(), count);
      RETURN_IF_ERROR(Write(response));
      left -= count;
    }
    response.mutable_end();
    return Write(response);
  }

  const BackupSource& source_;
  Stream& stream_;
  std::shared_ptr<void> hold_;
  bool held_ = false;
  std::filesystem::path scratch_;
  std::map<std::string, BackupFile> files_;
};

class BackupServiceImpl final : public muster::internal::v1::BackupService::Service {
 public:
  BackupServiceImpl(BackupSource source, Admission& admission) : source_(std::move(source)), admission_(admission) {}

  grpc::Status Copy(grpc::ServerContext* context, Stream* stream) override {
    return admission_.Serve(*context, "BackupService/Copy", nullptr, [&](AdmittedCall& call) -> absl::Status {
      call.subject = source_.server;
      if (absl::FromChrono(context->deadline()) > RealClock().Now() + kLongest) {
        return absl::InvalidArgumentError("backup: a call needs a deadline, at most 24 h from now");
      }
      spdlog::info("{} takes a backup", call.principal.name);
      const absl::Status status = CopyCall(source_, *stream).Run();
      spdlog::info("the backup by {} ended: {}", call.principal.name, status.ToString());
      return status;
    });
  }

 private:
  const BackupSource source_;
  Admission& admission_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBackupService(BackupSource source, Admission& admission) {
  return std::make_unique<BackupServiceImpl>(std::move(source), admission);
}

absl::StatusOr<BackupFile> ListFile(const std::string& path, const std::filesystem::path& from) {
  struct stat info {};
  if (stat(from.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat(from.string(), ": cannot be read"));
  BackupFile file;
  file.from = from;
  file.entry.set_path(path);
  file.entry.set_size(static_cast<uint64_t>(info.st_size));
  file.entry.set_stamp(absl::StrCat(absl::ToUnixNanos(absl::TimeFromTimespec(info.st_mtim))));
  return file;
}

absl::Status ListFolder(const std::filesystem::path& root, const std::string& folder, std::vector<BackupFile>& files) {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder, error)) {
    if (entry.is_regular_file(error)) paths.push_back(entry.path().lexically_relative(root).generic_string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat((root / folder).string(), ": cannot be listed"));
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(BackupFile file, ListFile(path, root / path));
    files.push_back(std::move(file));
  }
  return absl::OkStatus();
}

}  // namespace muster
