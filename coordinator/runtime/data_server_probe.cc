#include "coordinator/runtime/data_server_probe.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "common/rpc/reachability.h"

namespace muster {

DataServerProbe::DataServerProbe(Options options) : options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

void DataServerProbe::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void DataServerProbe::Run() {
  bool answered = true;
  while (true) {
    const bool answers = Answers(options_.channel, options_.answer_within);
    if (answers != answered) {
      if (answers) spdlog::info("the data server {} answers again", options_.address);
      if (!answers) spdlog::warn("the data server {} does not answer", options_.address);
      options_.backend->Post(DataServerSeen{options_.address, answers});
      answered = answers;
    }
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.every)) return;
  }
}

}  // namespace muster
