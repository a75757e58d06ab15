#include "common/process/scheduling.h"

#include <sched.h>

namespace muster {
namespace {

void SetPolicy(int policy) {
  const sched_param no_priority = {};
  sched_setscheduler(0, policy, &no_priority);
}

}  // namespace

void WakeWithoutInterrupting() { SetPolicy(SCHED_BATCH); }
void WakeAtOnce() { SetPolicy(SCHED_OTHER); }

}  // namespace muster
