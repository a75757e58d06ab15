#include "coordinator/service/log_store.h"

#include <algorithm>
#include <fstream>
#include <system_error>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {

constexpr uint64_t kReadAtOnce = 256 << 10;
constexpr size_t kMostLeftOut = 10'000;  // files whose gaps are counted

std::filesystem::path LogStore::PathOf(const std::string& job_id, uint32_t attempt, uint32_t rank) const {
  return folder_ / job_id / absl::StrCat(attempt, "-", rank, ".log");
}

void LogStore::LeaveOut(const std::filesystem::path& path, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (left_out_.size() >= kMostLeftOut && !left_out_.contains(path)) return;
  left_out_[path] += bytes;
}

uint64_t LogStore::TakeLeftOut(const std::filesystem::path& path) {
  absl::MutexLock lock(&mutex_);
  const auto found = left_out_.find(path);
  if (found == left_out_.end()) return 0;
  return left_out_.extract(found).mapped();
}

absl::Status LogStore::Append(const std::string& job_id, uint32_t attempt, uint32_t rank, const std::string& text) {
  if (!IsValidName(job_id)) return absl::InvalidArgumentError("job_id: not a name");
  const std::filesystem::path path = PathOf(job_id, attempt, rank);
  if (!has_room_()) {
    LeaveOut(path, text.size());
    return absl::OkStatus();
  }
  std::error_code error;
  const uint64_t size = std::filesystem::exists(path, error) ? std::filesystem::file_size(path, error) : 0;
  if (size > max_file_) return absl::OkStatus();
  if (size == 0) RETURN_IF_ERROR(MakeFolders(path.parent_path()));
  std::ofstream file(path, std::ios::binary | std::ios::app);
  if (const uint64_t bytes = TakeLeftOut(path); bytes > 0) {
    file << "[muster] " << bytes << " bytes were left out here: the coordinator's disk was full\n";
  }
  file << text;
  if (size + text.size() > max_file_) {
    file << "[muster] this log is full (" << (max_file_ >> 20) << " MiB); the rest is left out\n";
  }
  file.close();
  if (!file) return absl::DataLossError(absl::StrCat(path.string(), ": cannot be written. Is the disk full?"));
  followers_.Notify(job_id);
  return absl::OkStatus();
}

absl::Status LogStore::Remove(const std::string& job_id) {
  if (!IsValidName(job_id)) return absl::InvalidArgumentError("job_id: not a name");
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(left_out_, [&](const auto& gap) { return gap.first.parent_path() == folder_ / job_id; });
  }
  std::error_code error;
  std::filesystem::remove_all(folder_ / job_id, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), absl::StrCat((folder_ / job_id).string(), ": cannot be removed"));
}

std::set<std::string> LogStore::Jobs() const {
  std::set<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string id = entry.path().filename().string();
    if (IsValidName(id)) ids.insert(id);
  }
  return ids;
}

uint64_t LogStore::BytesOf(const std::string& job_id) const {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / job_id, error)) {
    const uint64_t size = entry.file_size(error);
    if (!error) bytes += size;
  }
  return bytes;
}

std::vector<LogStore::File> LogStore::List(const std::string& job_id) const {
  std::vector<File> files;
  if (!IsValidName(job_id)) return files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / job_id, error)) {
    const std::string name = entry.path().stem().string();
    const size_t dash = name.find('-');
    File file;
    if (dash == std::string::npos || !absl::SimpleAtoi(name.substr(0, dash), &file.attempt) ||
        !absl::SimpleAtoi(name.substr(dash + 1), &file.rank)) {
      continue;
    }
    file.size = std::filesystem::file_size(entry.path(), error);
    if (!error) files.push_back(file);
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return std::tie(a.attempt, a.rank) < std::tie(b.attempt, b.rank);
  });
  return files;
}

absl::StatusOr<std::string> LogStore::Read(const std::string& job_id, const File& file, uint64_t offset,
                                           bool ended) const {
  const std::filesystem::path path = PathOf(job_id, file.attempt, file.rank);
  std::ifstream stream(path, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  std::string text(kReadAtOnce, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return absl::DataLossError(absl::StrCat(path.string(), ": cannot be read"));
  text.resize(static_cast<size_t>(stream.gcount()));
  const size_t last = text.rfind('\n');
  const bool one_long_line = last == std::string::npos && text.size() == kReadAtOnce;
  if (!ended && !one_long_line) text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

void LogStore::Announce() {
  absl::MutexLock lock(&mutex_);
  ++announced_;
}

void LogStore::Settle() {
  absl::MutexLock lock(&mutex_);
  ++settled_;
}

uint64_t LogStore::announced() const {
  absl::MutexLock lock(&mutex_);
  return announced_;
}

bool LogStore::WaitUntilSettled(uint64_t announced, absl::Duration wait) {
  absl::MutexLock lock(&mutex_);
  const auto settled = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || settled_ >= announced; };
  return mutex_.AwaitWithTimeout(absl::Condition(&settled), wait);
}

void LogStore::Stop() {
  followers_.Stop();
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

}  // namespace muster
