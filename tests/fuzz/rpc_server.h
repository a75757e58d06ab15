// A data server and a coordinator on loopback in this process, with a small dataset and a vocabulary, for targets that
// make calls. Both are restarted, with empty folders, after a number of inputs, so that their state stays small.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "coordinator/data/service/data_server.h"
#include "coordinator/runtime/coordinator.h"
#include "tests/fuzz/random_message.h"
#include "tests/fuzz/scratch.h"

namespace muster {

class FuzzServers {
 public:
  explicit FuzzServers(bool coordinator);
  ~FuzzServers();

  // Call before each input.
  void Prepare();
  std::shared_ptr<grpc::Channel> data() const { return data_channel_; }
  std::shared_ptr<grpc::Channel> coordinator() const { return coordinator_channel_; }
  // Names and digests of stored content, and words that fields accept.
  KnownStrings& known() { return known_; }

 private:
  void Start();
  void Seed();

  const bool with_coordinator_;
  FuzzFolder root_;
  int inputs_ = 0;
  std::unique_ptr<DataServer> data_server_;
  std::unique_ptr<Coordinator> coordinator_server_;
  std::shared_ptr<grpc::Channel> data_channel_, coordinator_channel_;
  KnownStrings known_;
};

}  // namespace muster
