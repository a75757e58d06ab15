#include "common/rpc/retry.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "common/clock.h"

namespace muster {

void PauseBeforeRetry(grpc::Channel& channel, absl::Duration pause) {
  constexpr absl::Duration kLeast = absl::Milliseconds(100);
  const absl::Duration start = RealClock().Monotonic();
  channel.WaitForConnected(absl::ToChronoTime(RealClock().Now() + pause));
  const absl::Duration waited = RealClock().Monotonic() - start;
  if (waited < kLeast) absl::SleepFor(std::min(kLeast, pause) - waited);
}

}  // namespace muster
