// Time as a value. Only this file reads the real clock.
#pragma once

#include "absl/time/time.h"

namespace muster {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;           // wall time
  virtual absl::Duration Monotonic() const = 0;  // since an arbitrary start; never goes back
};

// Thread-safe; lives as long as the process.
const Clock& RealClock();

class FakeClock final : public Clock {  // for tests; not thread-safe
 public:
  explicit FakeClock(absl::Time start = absl::UnixEpoch()) : now_(start), start_(start) {}
  absl::Time Now() const override { return now_; }
  absl::Duration Monotonic() const override { return now_ - start_; }
  void Advance(absl::Duration by) { now_ += by; }

 private:
  absl::Time now_, start_;
};

}  // namespace muster
