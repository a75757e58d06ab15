// Reports that the coordinator has not acknowledged yet.
#pragma once

#include <cstdint>
#include <deque>

#include "muster/internal/v1/worker.pb.h"

namespace muster {

class Outbox {
 public:
  // Numbers the report (from 1) and keeps it.
  const muster::internal::v1::Report& Add(muster::internal::v1::Report report);
  // This report and all before it are durable.
  void Acknowledge(uint64_t sequence);
  const std::deque<muster::internal::v1::Report>& pending() const { return pending_; }

 private:
  uint64_t last_ = 0;
  std::deque<muster::internal::v1::Report> pending_;
};

}  // namespace muster
