// Certificates that are read again when their files change, without a restart.
#pragma once

#include <grpcpp/security/tls_certificate_provider.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/certificate_folder.h"

namespace muster {

// One per folder and process. One thread checks all folders once per second and loads those that are complete. A folder that is
// being written, or was written wrongly, changes nothing (the log says so once). Open connections stay.
//
// gRPC's own watcher reads key and certificate one after the other, and may read one before a change and the other
// after it. So it only gets pairs that were checked here, in one file in memory (memfd) that is replaced atomically.
class CertificateWatch {
 public:
  // Reads the folder now; an error if it is not complete. The watch lives as long as the process.
  static absl::StatusOr<CertificateWatch*> Of(const std::filesystem::path& folder);

  // For the credentials of a channel or server.
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> MakeProvider() const;
  CertificateFiles current() const;
  bool has_certificate() const { return !current().certificate.empty(); }

  // Calls `tell` now and after every change, until it returns false. Do not call this from within `tell`.
  void WhenChanged(std::function<bool(const CertificateFiles&)> tell);

  // Reads the folder again. On an error the folder is not complete, and the current state stays.
  absl::Status Refresh();

 private:
  explicit CertificateWatch(std::filesystem::path folder);
  static void PollForever();

  const std::filesystem::path folder_;
  const int authority_fd_, pair_fd_;  // the descriptors stay, their files are replaced
  mutable absl::Mutex mutex_;
  CertificateFiles current_ ABSL_GUARDED_BY(mutex_);
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<bool(const CertificateFiles&)>> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
