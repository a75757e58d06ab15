// One rank: its process, what it says on fd 3, and what it writes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/process/child_process.h"
#include "common/process/delimited_reader.h"
#include "common/process/poll_loop.h"
#include "worker/agent/core/agent_types.h"
#include "worker/agent/log_file.h"
#include "worker/agent/log_text.h"

namespace muster {

class RankProcess {
 public:
  struct Options {
    std::filesystem::path binary;
    std::filesystem::path log_folder;
    std::vector<std::string> environment;  // "NAME=value"; TMPDIR is added
    PollLoop* loop = nullptr;               // on whose thread all happens
    std::function<void(Event)> on_event;    // RankSaid…, RankWrote, and RankEnded last
    std::function<void(size_t bytes)> on_log_bytes;
  };

  // Makes the rank's scratch folder, writes its configuration there, and starts `binary --config FILE`.
  static absl::StatusOr<std::unique_ptr<RankProcess>> Start(const RankKey& key,
                                                            const muster::rank::v1::RankConfig& config,
                                                            const Options& options);
  ~RankProcess();

  void Signal(int signal) { process_.Signal(signal); }
  pid_t pid() const { return process_.pid(); }

 private:
  RankProcess(const RankKey& key, const Options& options, ChildProcess process)
      : key_(key), options_(options), process_(std::move(process)) {}
  void ReadMessages();
  void ReadOutput();
  void OnEnd();
  void Pass(const std::string& lines);

  const RankKey key_;
  const Options options_;
  ChildProcess process_;
  OwnedFd messages_, output_;
  std::optional<LogFile> log_;
  DelimitedReader reader_;
  LineCutter cutter_;
  LogTail tail_;
};

}  // namespace muster
