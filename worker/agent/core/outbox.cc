#include "worker/agent/core/outbox.h"

#include <utility>

namespace muster {

const muster::internal::v1::Report& Outbox::Add(muster::internal::v1::Report report) {
  report.set_sequence(++last_);
  return pending_.emplace_back(std::move(report));
}

void Outbox::Acknowledge(uint64_t sequence) {
  while (!pending_.empty() && pending_.front().sequence() <= sequence) pending_.pop_front();
}

}  // namespace muster
