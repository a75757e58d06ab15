#include "worker/rank/link/audit_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {

AuditLog::AuditLog(const muster::rank::v1::RankConfig& config) {
  if (config.audit().empty()) return;
  file_ = std::filesystem::path(config.audit()) /
          absl::StrCat(config.job_id(), "-a", config.attempt(), "-r", config.rank(), ".audit");
  header_ = absl::StrCat("muster-audit 1 ", config.job_id(), " ", config.attempt(), " ", config.rank(), " ",
                         config.world_size(), "\n");
}

absl::Status AuditLog::Append(const StepBatch& batch) {
  if (file_.empty()) return absl::OkStatus();
  std::string text = std::move(header_);
  header_.clear();
  absl::StrAppend(&text, batch.step + 1, " ", batch.epoch);
  for (const uint64_t digest : batch.query_digests) absl::StrAppend(&text, " ", absl::Hex(digest, absl::kZeroPad16));
  return Write(text + "\n");
}

absl::Status AuditLog::Write(std::string_view text) {
  RETURN_IF_ERROR(MakeFolders(file_.parent_path()));
  const int file = open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat(file_.string(), ": cannot open the audit log"));
  const ssize_t written = write(file, text.data(), text.size());
  const int error = errno;
  close(file);
  if (written == static_cast<ssize_t>(text.size())) return absl::OkStatus();
  return written < 0 ? absl::ErrnoToStatus(error, file_.string())
                     : absl::DataLossError(absl::StrCat(file_.string(), ": written in part. Is the disk full?"));
}

}  // namespace muster
