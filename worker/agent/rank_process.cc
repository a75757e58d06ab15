#include "worker/agent/rank_process.h"

#include <fcntl.h>
#include <google/protobuf/text_format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr int kMessageFd = 3;  // in the rank; see rank.proto

std::filesystem::path ConfigFile(const RankKey& key, const muster::rank::v1::RankConfig& config) {
  return std::filesystem::path(config.scratch()).parent_path() / absl::StrCat("rank-", key.rank, ".textproto");
}

}  // namespace

absl::Status RankProcess::Prepare(const RankKey& key, const muster::rank::v1::RankConfig& config) {
  RETURN_IF_ERROR(MakeFolders(config.scratch()));
  RETURN_IF_ERROR(MakeFolders(config.cache()));
  std::string text;
  if (!google::protobuf::TextFormat::PrintToString(config, &text)) {
    return absl::InternalError(absl::StrCat(ToString(key), ": its configuration cannot be written as text"));
  }
  return WriteFileAtomically(ConfigFile(key, config), text, 0600);
}

absl::StatusOr<std::unique_ptr<RankProcess>> RankProcess::Start(const RankKey& key,
                                                                const muster::rank::v1::RankConfig& config,
                                                                const Options& options) {
  const std::filesystem::path scratch = config.scratch();
  ASSIGN_OR_RETURN(Pipe messages, MakePipe());
  ASSIGN_OR_RETURN(Pipe output, MakePipe());
  ASSIGN_OR_RETURN(OwnedFd nothing, OpenFd("/dev/null", O_RDONLY));
  ChildProcess::Options child;
  child.argv = {options.binary.string(), "--config", ConfigFile(key, config).string()};
  std::vector<std::string> environment = options.environment;
  environment.push_back(absl::StrCat("TMPDIR=", scratch.string()));
  child.environment = std::move(environment);
  child.working_directory = scratch;
  child.cpus = options.cpus;
  child.fds = {{0, nothing.get()}, {1, output.write.get()}, {2, output.write.get()}, {kMessageFd, messages.write.get()}};
  ASSIGN_OR_RETURN(ChildProcess process, ChildProcess::Start(child));

  std::unique_ptr<RankProcess> rank(new RankProcess(key, options, std::move(process)));
  rank->messages_ = std::move(messages.read);
  rank->output_ = std::move(output.read);
  options.disk->Post([log = rank->log_, path = options.log_folder / absl::StrCat(key.attempt.job, "-a", key.attempt.attempt,
                                                                                 "-r", key.rank, ".log")] {
    auto file = LogFile::Open(path);
    if (file.ok()) {
      log->emplace(*std::move(file));
    } else {
      spdlog::warn("no log file: {}", std::string(file.status().message()));
    }
  });
  options.loop->Watch(rank->messages_.get(), [rank = rank.get()] { rank->ReadMessages(); });
  options.loop->Watch(rank->output_.get(), [rank = rank.get()] { rank->ReadOutput(); });
  options.loop->Watch(rank->process_.pidfd(), [rank = rank.get()] { rank->OnEnd(); });
  return rank;
}

RankProcess::~RankProcess() {
  options_.loop->Forget(messages_.get());
  options_.loop->Forget(output_.get());
  options_.loop->Forget(process_.pidfd());
}

void RankProcess::ReadMessages() {
  if (!messages_.valid()) return;
  std::string bytes;
  const bool open = ReadAvailable(messages_.get(), bytes);
  reader_.Append(bytes);
  bool readable = true;
  while (readable) {
    RankReported report{key_, {}};
    const absl::StatusOr<bool> next = reader_.Next(report.message);
    if (!next.ok()) {
      options_.on_event(RankReportIsBroken{key_, std::string(next.status().message())});
      readable = false;
    } else if (*next) {
      options_.on_event(std::move(report));
    } else {
      break;
    }
  }
  if (!open || !readable) {
    options_.loop->Forget(messages_.get());
    messages_.Close();
  }
}

void RankProcess::ReadOutput() {
  if (!output_.valid()) return;
  std::string bytes;
  const bool open = ReadAvailable(output_.get(), bytes);
  options_.on_log_bytes(bytes.size());
  Pass(cutter_.Add(bytes));
  if (!open) {
    options_.loop->Forget(output_.get());
    output_.Close();
  }
}

void RankProcess::Pass(const std::string& lines) {
  if (lines.empty()) return;
  const bool taken = options_.disk->TryPost(lines.size(), [log = log_, lines] {
    if (log->has_value()) (*log)->Append(lines);
  });
  if (!taken && !std::exchange(lines_lost_, true)) {
    spdlog::warn("{}: lines are missing in its log file, since the disk is too slow", ToString(key_));
  }
  tail_.Add(lines);
  options_.on_event(RankWrote{key_, lines});
}

void RankProcess::OnEnd() {
  const std::optional<ExitStatus> status = process_.TryReap();
  if (!status.has_value()) return;
  options_.loop->Forget(process_.pidfd());
  // Reads what the rank left in the pipes. They may still be open, if a process outside of its group holds them.
  ReadMessages();
  ReadOutput();
  Pass(cutter_.Finish());
  options_.on_event(RankEnded{key_, *status, tail_.text(), ""});
}

}  // namespace muster
