// Agents without ranks: each has its own session and connection, and carries out the coordinator's requests immediately. One
// thread sends for all of them; gRPC's threads read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace muster::bench {

class SimulatedAgent;

struct FleetOptions {
  uint32_t workers = 100;
  uint32_t slots = 8;  // per worker
  absl::Duration progress_every = absl::InfiniteDuration();  // of each running attempt
};

// One attempt of a job, and the workers that have run it.
struct AttemptSeen {
  std::set<uint32_t> workers;
  bool ended = false;  // some worker was asked to stop it
};
using AttemptsSeen = std::map<std::pair<std::string, uint32_t>, AttemptSeen>;

class SimulatedFleet {
 public:
  explicit SimulatedFleet(const FleetOptions& options);
  ~SimulatedFleet();

  // Where the agents connect from now on. They retry with backoff, as real ones do.
  void ConnectTo(const std::string& address);
  void ForgetWelcomes();
  // The time from the last ForgetWelcomes until `share` of the agents were welcomed; infinite: not within `wait`.
  absl::Duration WaitForWelcomes(uint32_t count, absl::Duration wait);
  uint32_t welcomed();
  // Makes the first `count` agents stop sending and answering; their connections stay open.
  void Silence(uint32_t count);
  AttemptsSeen attempts();
  uint32_t silenced() const { return silenced_; }

 private:
  friend class SimulatedAgent;
  void Run();

  const FleetOptions options_;
  std::vector<std::unique_ptr<SimulatedAgent>> agents_;
  absl::Mutex mutex_;
  std::string address_ ABSL_GUARDED_BY(mutex_);
  AttemptsSeen attempts_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> welcomed_ ABSL_GUARDED_BY(mutex_);
  absl::Duration forgot_at_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint32_t silenced_ = 0;
  std::thread thread_;
};

}  // namespace muster::bench
