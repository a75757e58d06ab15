#include "common/rpc/access/audit.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr double kStrangersRate = 10, kStrangersBurst = 100;
constexpr size_t kMaxDetail = 512;

absl::Duration SinceEpoch(absl::Time time) { return time - absl::UnixEpoch(); }

}  // namespace

AuditLog::AuditLog(std::filesystem::path folder, HasRoom has_room, uint64_t max_bytes, int kept)
    : folder_(std::move(folder)),
      has_room_(std::move(has_room)),
      max_bytes_(max_bytes),
      kept_(kept),
      strangers_(kStrangersRate, kStrangersBurst, absl::ZeroDuration()) {}

AuditLog::~AuditLog() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(const std::filesystem::path& folder, HasRoom has_room,
                                                         uint64_t max_bytes, int kept) {
  RETURN_IF_ERROR(MakeFolders(folder));
  std::unique_ptr<AuditLog> log(new AuditLog(folder, std::move(has_room), max_bytes, kept));
  absl::MutexLock lock(&log->mutex_);
  RETURN_IF_ERROR(log->OpenFile());
  return log;
}

absl::Status AuditLog::OpenFile() {
  const std::filesystem::path path = folder_ / "audit.jsonl";
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  struct stat info {};
  if (fd_ < 0 || fstat(fd_, &info) != 0) return absl::ErrnoToStatus(errno, path.string());
  bytes_ = static_cast<uint64_t>(info.st_size);
  return absl::OkStatus();
}

void AuditLog::Rotate() {
  close(fd_);
  fd_ = -1;
  std::error_code error;
  const auto named = [&](int number) { return folder_ / absl::StrCat("audit.", number, ".jsonl"); };
  for (int number = kept_ - 1; number >= 1; --number) std::filesystem::rename(named(number), named(number + 1), error);
  std::filesystem::rename(folder_ / "audit.jsonl", named(1), error);
}

void AuditLog::Write(const AuditRecord& record) {
  absl::MutexLock lock(&mutex_);
  const bool stranger = record.refused && record.principal.role == Role::kUnknown;
  if (stranger && strangers_.Take(SinceEpoch(record.time)) > absl::ZeroDuration()) {
    ++left_out_;
    return;
  }
  if (!has_room_()) {
    if (unwritten_++ == 0) spdlog::error("audit log: the disk is full, lines are left out");
    return;
  }
  nlohmann::ordered_json line = {
      {"time", std::string(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", record.time, absl::UTCTimeZone()))},
      {"user", record.principal.name},
      {"role", std::string(RoleName(record.principal.role))},
      {"proof", std::string(ProofName(record.principal.proof))},
      {"peer", record.peer},
      {"method", record.method},
      {"subject", record.subject},
      {"outcome", record.outcome},
      {"request_id", record.request_id}};
  if (!record.detail.empty()) line["detail"] = record.detail.substr(0, kMaxDetail);
  if (left_out_ > 0) line["refusals_left_out"] = left_out_;
  if (unwritten_ > 0) line["lines_left_out"] = unwritten_;
  left_out_ = unwritten_ = 0;
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (bytes_ > 0 && bytes_ + text.size() > max_bytes_) Rotate();
  if (fd_ < 0) {
    const absl::Status status = OpenFile();
    if (!status.ok()) {
      spdlog::error("audit log: {}", std::string(status.message()));
      return;
    }
  }
  if (write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    spdlog::error("audit log: a line was not written: {}", text);
  }
  bytes_ += text.size();
}

}  // namespace muster
