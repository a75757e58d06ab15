// For tests: in-process ranks whose backend counts what each of them receives from the others.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "absl/status/status.h"
#include "worker/rank/collective/c10d_group.h"

namespace muster {

// Bytes that one rank has received, and how many operations brought them.
struct Traffic {
  double gathered = 0, scattered = 0, reduced = 0;  // of an all-reduce by a ring: 2 (W - 1) / W of the tensor
  double exchanged = 0;                             // short messages
  int reductions = 0, scatters = 0, exchanges = 0;
  double reduced_tensors = 0;                       // bytes of the tensors that were summed
};

// Forwards to another backend.
class CountingBackend final : public c10d::Backend {
 public:
  CountingBackend(c10::intrusive_ptr<c10d::Backend> inner, Traffic& traffic)
      : Backend(inner->getRank(), inner->getSize()), inner_(std::move(inner)), traffic_(traffic) {}

  const std::string getBackendName() const override { return "counting"; }

  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor>& tensors, const c10d::BroadcastOptions& options) override {
    const bool own = options.rootRank == getRank(), exchange = tensors[0].scalar_type() == at::kByte;
    const auto bytes = static_cast<double>(own ? 0 : tensors[0].nbytes());
    (exchange ? traffic_.exchanged : traffic_.gathered) += bytes;
    traffic_.exchanges += exchange && options.rootRank == 0;
    return inner_->broadcast(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& receives,
                                               std::vector<int64_t>& sends, const c10d::AllToAllOptions& options) override {
    ++traffic_.scatters;
    traffic_.scattered += static_cast<double>(output.nbytes()) * (getSize() - 1) / getSize();
    return inner_->alltoall_base(output, input, receives, sends, options);
  }
  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>& tensors, const c10d::AllreduceOptions& options) override {
    ++traffic_.reductions;
    traffic_.reduced_tensors += static_cast<double>(tensors[0].nbytes());
    traffic_.reduced += 2.0 * static_cast<double>(tensors[0].nbytes()) * (getSize() - 1) / getSize();
    return inner_->allreduce(tensors, options);
  }

 private:
  const c10::intrusive_ptr<c10d::Backend> inner_;
  Traffic& traffic_;
};

// Like RunInProcessRanks, over Gloo; each rank gets its own counters, which grow as it runs.
inline std::vector<absl::Status> RunCountedRanks(
    int64_t world_size, const std::function<absl::Status(Group&, const Traffic&)>& body) {
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<absl::Status> results(world_size);
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      Traffic traffic;
      auto inner = MeetOverGloo({.store = store, .rank = rank, .world_size = world_size, .timeout = absl::Minutes(2)});
      results[rank] = body(*MakeC10dGroup(c10::make_intrusive<CountingBackend>(std::move(inner), traffic), at::kCPU), traffic);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

}  // namespace muster
