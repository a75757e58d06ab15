// A c10d store that lives in the coordinator (WorkerService.Rendezvous), fenced by job and attempt.
#pragma once

#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "muster/internal/v1/worker.pb.h"

namespace grpc {
class Channel;
}

namespace muster {

// Thread-safe. Throws errors, as c10d requires: c10::DistStoreError when a key does not appear in time, the attempt is
// stale, or the coordinator cannot be reached for the store's timeout.
c10::intrusive_ptr<c10d::Store> MakeGrpcStore(std::shared_ptr<grpc::Channel> coordinator, const std::string& job_id,
                                              uint32_t attempt);

}  // namespace muster
