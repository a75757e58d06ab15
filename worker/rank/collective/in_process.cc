#include "worker/rank/collective/in_process.h"

#include <csignal>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "worker/rank/collective/join.h"

namespace muster {

std::vector<absl::Status> RunInProcessRanks(int64_t world_size, const std::function<absl::Status(Group&)>& body) {
  if (world_size == 1) return {body(*MakeSingleGroup())};
  std::signal(SIGPIPE, SIG_IGN);  // Gloo may write to a rank whose connection is closed
  const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
  std::vector<absl::Status> results(world_size);
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      auto group = JoinGlooGroup({.store = store, .rank = rank, .world_size = world_size, .timeout = absl::Minutes(2)});
      results[rank] = group.ok() ? body(**group) : group.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

}  // namespace muster
