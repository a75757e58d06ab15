#include "client/backup/take.h"

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/backup/copy_client.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::BackupManifest;
using muster::internal::v1::BackupPart;
using muster::internal::v1::CopyFile;

// The newest earlier backup's entries by file, so that an unchanged file is not sent again.
class Known {
 public:
  Known(const BackupManifest& before, const std::string& server) {
    for (const BackupPart& part : before.parts()) {
      if (part.server() != server) continue;
      for (const CopyFile& file : part.files()) files_[file.path()] = file;
    }
  }
  // Empty: unknown.
  std::string DigestOf(const CopyFile& file) const {
    if (!file.digest().empty()) return file.digest();
    const auto found = files_.find(file.path());
    if (file.stamp().empty() || found == files_.end()) return "";
    const bool same = found->second.stamp() == file.stamp() && found->second.size() == file.size();
    return same ? found->second.digest() : "";
  }

 private:
  std::map<std::string, CopyFile> files_;
};

absl::StatusOr<BackupPart> CopyPart(CopyClient& server, const BackupManifest& before, BackupRepository& repository,
                                    const TakeOptions& options, BackupSummary& summary) {
  BackupPart part;
  part.set_server(server.held().server());
  part.set_version(server.held().version());
  ASSIGN_OR_RETURN(std::vector<CopyFile> files, server.List());
  const Known known(before, part.server());
  uint64_t total = summary.bytes;
  for (const CopyFile& file : files) total += file.size();
  for (CopyFile& file : files) {
    const std::string digest = known.DigestOf(file);
    if (digest.empty() || !repository.Has(digest, file.size())) {
      ASSIGN_OR_RETURN(const std::string stored, repository.Store([&](const BackupRepository::Sink& sink) {
        return server.Read(file.path(), sink);
      }, file.digest()));
      file.set_digest(stored);
      ++summary.new_files;
      summary.new_bytes += file.size();
    } else {
      file.set_digest(digest);
    }
    ++summary.files;
    summary.bytes += file.size();
    if (options.progress) options.progress(summary.bytes, total);
    *part.add_files() = std::move(file);
  }
  return part;
}

}  // namespace

std::string BackupName(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H-%M-%SZ", time, absl::UTCTimeZone()); }

absl::StatusOr<BackupSummary> TakeBackup(const Connection& connection, BackupRepository& repository,
                                         const TakeOptions& options) {
  RETURN_IF_ERROR(repository.Prepare());
  BackupManifest manifest, before;
  manifest.set_name(BackupName(options.now));
  manifest.mutable_taken()->set_seconds(absl::ToUnixSeconds(options.now));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, repository.List());
  if (!names.empty()) {
    if (names.back() >= manifest.name()) {
      return absl::FailedPreconditionError(absl::StrCat("there is a backup ", names.back(), " already, and it is now ",
                                                        manifest.name(), ". Check the clock, or try again in a second."));
    }
    ASSIGN_OR_RETURN(before, repository.Read(names.back()));
  }
  const absl::Time deadline = options.now + options.within;
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> data_channel, connection.Data());
  ASSIGN_OR_RETURN(const auto data, CopyClient::Open(data_channel, "data server", deadline));
  BackupSummary summary;
  summary.name = manifest.name();
  {
    ASSIGN_OR_RETURN(const auto coordinator, CopyClient::Open(connection.coordinator(), "coordinator", deadline));
    ASSIGN_OR_RETURN(*manifest.add_parts(), CopyPart(*coordinator, before, repository, options, summary));
    RETURN_IF_ERROR(coordinator->Close());
  }
  ASSIGN_OR_RETURN(*manifest.add_parts(), CopyPart(*data, before, repository, options, summary));
  RETURN_IF_ERROR(data->Close());
  RETURN_IF_ERROR(repository.Write(manifest));
  return summary;
}

}  // namespace muster
