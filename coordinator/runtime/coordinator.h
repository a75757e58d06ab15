// The whole coordinator in one object: state, event loop, services, metrics. The program and the tests start this.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/rpc/access/rate_limit.h"
#include "common/rpc/security.h"
#include "coordinator/core/soft.h"

namespace muster {

class Coordinator {
 public:
  struct Options {
    std::string listen = "127.0.0.1:7070";
    std::string metrics = "127.0.0.1:7071";
    std::string health;  // HOST:PORT of the probes (common/rpc/health.h); empty: no probes
    std::filesystem::path state;
    SecurityOptions security;
    std::filesystem::path tokens;  // file of tokens (common/rpc/access/tokens.h); empty: none
    UserLimits limits;
    uint32_t max_active_jobs = 0;  // per owner; 0: no limit
    std::string data_address;  // of the data server, HOST:PORT
    absl::Duration no_progress = kNoProgress;  // an attempt without progress for this long ends
    uint64_t min_free_bytes = 64 << 20;
    // Garbage: see janitor.h.
    absl::Duration collect_every = absl::Hours(1);
    absl::Duration collect_unused = absl::Hours(24);
    absl::Duration keep_ended_jobs = absl::Hours(24 * 90);  // infinite: forever
    absl::Duration tick = absl::Seconds(1);
    const Clock* clock = &RealClock();
  };
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(const Options& options);
  ~Coordinator();

  int port() const;
  int metrics_port() const;
  int health_port() const;
  // Ends streams, lets running calls finish for `grace`, and flushes. Does not affect jobs. Idempotent.
  void Shutdown(absl::Duration grace = absl::Seconds(2));

 private:
  struct Parts;
  explicit Coordinator(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace muster
