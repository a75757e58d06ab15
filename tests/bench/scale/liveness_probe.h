// Asks a server's health service every 100 ms whether it is alive, as a kubelet does every 10 s.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace muster::bench {

// A process counts as starting until it has answered "alive" once; from then on every other answer, and no answer within a
// second, is a failed probe.
class LivenessProbe {
 public:
  // Begins at once. `address`: HOST:PORT of the health service, where nobody need listen yet. Each probe opens a connection.
  explicit LivenessProbe(std::string address);
  ~LivenessProbe() { Stop(); }

  // Ends it. {"first_answer_s": from the beginning; null: never, "probes": sent since then, "failed", "longest_gap_s": the
  // longest time without an answer "alive", between the first one and the end}.
  nlohmann::json Stop();

 private:
  void Run();

  const std::string address_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // The thread's own, until it has ended.
  absl::Duration begun_, first_ = absl::InfiniteDuration(), last_, longest_;
  uint32_t probes_ = 0, failed_ = 0;
  std::thread thread_;
};

}  // namespace muster::bench
