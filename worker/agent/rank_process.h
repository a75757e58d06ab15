// One rank: its process, its messages on fd 3, and its output.
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
#include "common/process/disk_worker.h"
#include "worker/agent/log_file.h"
#include "worker/agent/log_text.h"

namespace muster {

class RankProcess {
 public:
  struct Options {
    std::filesystem::path binary;
    std::filesystem::path log_folder;
    std::vector<std::string> environment;  // "NAME=value"; TMPDIR is added
    std::vector<uint32_t> cpus;  // processors that it is bound to; empty: the agent's
    PollLoop* loop = nullptr;  // the thread on which everything happens, except for files
    DiskWorker* disk = nullptr;
    std::function<void(Event)> on_event;    // RankReported…, RankWrote, and RankEnded last
    std::function<void(size_t bytes)> on_log_bytes;
  };

  // Makes the rank's scratch folder and writes its configuration there. May take long, so the disk's thread calls it.
  static absl::Status Prepare(const RankKey& key, const muster::rank::v1::RankConfig& config);
  // Starts `binary --config FILE`, once it is prepared.
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
  // Only for the disk's thread, which may have lines to write after this rank has ended.
  std::shared_ptr<std::optional<LogFile>> log_ = std::make_shared<std::optional<LogFile>>();
  DelimitedReader reader_;
  LineCutter cutter_;
  LogTail tail_;
  bool lines_lost_ = false;
};

}  // namespace muster
