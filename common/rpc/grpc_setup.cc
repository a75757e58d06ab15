#include "common/rpc/grpc_setup.h"

#include <grpc/support/log.h>
#include <spdlog/spdlog.h>

#include "absl/synchronization/mutex.h"

namespace muster {

void SetUpGrpc() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  gpr_log_verbosity_init();  // otherwise lines before the first channel would be lost
  gpr_set_log_function([](gpr_log_func_args* line) {
    const auto level = line->severity == GPR_LOG_SEVERITY_ERROR ? spdlog::level::warn : spdlog::level::debug;
    spdlog::log(level, "grpc: {}", line->message);
  });
}

}  // namespace muster
