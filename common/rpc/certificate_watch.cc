#include "common/rpc/certificate_watch.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kLook = absl::Seconds(1);

int NewMemory() { return memfd_create("muster-certificates", MFD_CLOEXEC); }

std::string PathOf(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

// Makes `fd` refer to a new file with these bytes.
absl::Status Replace(int fd, const std::string& bytes) {
  const int fresh = NewMemory();
  if (fresh < 0) return absl::ErrnoToStatus(errno, "memory for certificates");
  absl::Status status;
  if (write(fresh, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      dup3(fresh, fd, O_CLOEXEC) != fd) {
    status = absl::ErrnoToStatus(errno, "memory for certificates");
  }
  close(fresh);
  return status;
}

struct Watches {
  absl::Mutex mutex;
  std::map<std::string, CertificateWatch*> folders ABSL_GUARDED_BY(mutex);
};
Watches& AllWatches() {
  static Watches* const watches = new Watches();  // never destroyed, because gRPC's threads may use it until the process ends
  return *watches;
}

}  // namespace

CertificateWatch::CertificateWatch(std::filesystem::path folder)
    : folder_(std::move(folder)), authority_fd_(NewMemory()), pair_fd_(NewMemory()) {}

absl::StatusOr<CertificateWatch*> CertificateWatch::Of(const std::filesystem::path& folder) {
  Watches& watches = AllWatches();
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(folder, error);
  CertificateWatch* watch = nullptr;
  {
    absl::MutexLock lock(&watches.mutex);
    if (watches.folders.empty()) std::thread(&CertificateWatch::PollForever).detach();
    CertificateWatch*& found = watches.folders[absolute.string()];
    if (found == nullptr) found = new CertificateWatch(absolute);
    watch = found;
  }
  const absl::Status status = watch->Refresh();
  if (!status.ok() && watch->current().authority.empty()) return status;
  return watch;
}

std::shared_ptr<grpc::experimental::CertificateProviderInterface> CertificateWatch::MakeProvider() const {
  using grpc::experimental::FileWatcherCertificateProvider;
  constexpr unsigned kSeconds = 1;
  const std::string pair = PathOf(pair_fd_), authority = PathOf(authority_fd_);
  if (!has_certificate()) return std::make_shared<FileWatcherCertificateProvider>(authority, kSeconds);
  return std::make_shared<FileWatcherCertificateProvider>(pair, pair, authority, kSeconds);
}

CertificateFiles CertificateWatch::current() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

void CertificateWatch::WhenChanged(std::function<bool(const CertificateFiles&)> tell) {
  absl::MutexLock lock(&mutex_);
  if (tell(current_)) listeners_.push_back(std::move(tell));
}

absl::Status CertificateWatch::Refresh() {
  absl::StatusOr<CertificateFiles> files = ReadCertificateFolder(folder_);
  absl::MutexLock lock(&mutex_);
  if (!files.ok()) return files.status();
  if (files->certificate.empty() && !current_.certificate.empty()) {
    return absl::NotFoundError(absl::StrCat(folder_.string(), ": certificate and key are missing. Put new ones there."));
  }
  last_error_.clear();
  if (*files == current_) return absl::OkStatus();
  const bool first = current_.authority.empty();
  if (files->authority != current_.authority) RETURN_IF_ERROR(Replace(authority_fd_, files->authority));
  if (files->certificate != current_.certificate || files->key != current_.key) {
    RETURN_IF_ERROR(Replace(pair_fd_, files->key + files->certificate));
  }
  current_ = *std::move(files);
  std::erase_if(listeners_, [this](const auto& tell) { return !tell(current_); });
  if (!first) spdlog::info("{}: certificates were read again", folder_.string());
  return absl::OkStatus();
}

void CertificateWatch::PollForever() {
  while (true) {
    absl::SleepFor(kLook);
    std::vector<CertificateWatch*> all;
    {
      absl::MutexLock lock(&AllWatches().mutex);
      for (const auto& [folder, watch] : AllWatches().folders) all.push_back(watch);
    }
    for (CertificateWatch* watch : all) {
      const absl::Status status = watch->Refresh();
      absl::MutexLock lock(&watch->mutex_);
      if (status.ok() || watch->current_.authority.empty() || status.message() == watch->last_error_) continue;
      watch->last_error_ = std::string(status.message());
      spdlog::warn("certificates were not replaced: {}", watch->last_error_);
    }
  }
}

}  // namespace muster
