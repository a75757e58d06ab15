#include "tests/gpu/ranks.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <torch/csrc/distributed/c10d/FileStore.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/status.h"
#include "worker/rank/collective/join.h"
#include "worker/rank/cuda/load.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, RankTask>& Tasks() {
  static const std::map<std::string, RankTask> tasks = {
      {"collective", CollectiveTask}, {"endless", EndlessTask}, {"production", ProductionTask},
      {"resume", ResumeTask},         {"scaling", ScalingTask}, {"step", StepTask}};
  return tasks;
}

fs::path ReportFile(const fs::path& folder, int64_t rank) { return folder / absl::StrCat("rank-", rank, ".json"); }

absl::Status DoTask(const RankOrder& order, Figures& report) {
  at::set_num_threads(1);
  const auto task = Tasks().find(order.task);
  if (task == Tasks().end()) return absl::InvalidArgumentError(absl::StrCat("no task is called ", order.task));
  const JoinOptions options{.store = c10::make_intrusive<c10d::FileStore>((order.folder / "meeting").string(),
                                                                          static_cast<int>(order.world_size)),
                            .rank = order.rank,
                            .world_size = order.world_size,
                            .timeout = absl::Seconds(order.timeout_seconds)};
  std::unique_ptr<Group> group;
  at::Device device(at::kCPU);
  if (order.gpu) {
    device = at::Device(at::kCUDA, 0);
    ASSIGN_OR_RETURN(CudaBackend * cuda, LoadCuda());
    RETURN_IF_ERROR(cuda->SetDevice(device));
    ASSIGN_OR_RETURN(group, cuda->JoinNccl(options, device));
  } else {
    ASSIGN_OR_RETURN(group, JoinGlooGroup(options));
  }
  return task->second(order, *group, device, report);
}

}  // namespace

int RunRank(const RankOrder& order) {
  Figures report = Figures::object();
  absl::Status status;
  try {
    status = DoTask(order, report);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    status = absl::InternalError(text.substr(0, text.find('\n')));
  }
  report["ok"] = status.ok();
  report["code"] = absl::StatusCodeToString(status.code());
  report["message"] = std::string(status.message());
  const fs::path file = ReportFile(order.folder, order.rank), aside = file.string() + ".part";
  std::ofstream(aside) << report.dump(-1, ' ', false, Figures::error_handler_t::replace) << "\n";
  fs::rename(aside, file);
  return status.ok() ? 0 : 1;
}

absl::StatusOr<Ranks> Ranks::Start(const Session& session, const std::string& task, int64_t world_size,
                                   absl::Duration timeout) {
  Ranks ranks;
  ASSIGN_OR_RETURN(ranks.folder_, MakeScratchFolder(fs::temp_directory_path(), "muster-gpu-ranks"));
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  for (int64_t rank = 0; rank < world_size; ++rank) {
    std::vector<std::string> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (!absl::StartsWith(*variable, "NCCL_HOSTID=")) environment.emplace_back(*variable);
    }
    environment.push_back(absl::StrCat("NCCL_HOSTID=muster-rank-", rank));
    if (std::getenv("NCCL_DEBUG") == nullptr) environment.push_back("NCCL_DEBUG=WARN");
    ASSIGN_OR_RETURN(ChildProcess child,
                     ChildProcess::Start({.argv = {self, "--task", task, "--rank", absl::StrCat(rank), "--world",
                                                   absl::StrCat(world_size), "--folder", ranks.folder_.string(),
                                                   "--timeout", absl::StrCat(absl::ToDoubleSeconds(timeout)),
                                                   "--device", session.on_gpu() ? "gpu" : "cpu"},
                                          .environment = environment}));
    ranks.processes_.push_back(std::move(child));
  }
  return ranks;
}

Ranks::~Ranks() {
  processes_.clear();  // ends the rest of them
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

absl::StatusOr<Figures> Ranks::ReportOf(int64_t rank) const {
  std::ifstream stream(ReportFile(folder_, rank));
  Figures report = Figures::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object()) return absl::InternalError(absl::StrCat("rank ", rank, " left no report"));
  return report;
}

absl::StatusOr<std::vector<Figures>> Ranks::Finish(absl::Duration at_most) {
  const absl::Duration deadline = RealClock().Monotonic() + at_most;
  std::vector<Figures> reports;
  absl::Status first;
  for (int64_t rank = 0; rank < size(); ++rank) {
    const auto exit = processes_[rank].WaitFor(std::max(deadline - RealClock().Monotonic(), absl::ZeroDuration()));
    const Figures report = ReportOf(rank).value_or(Figures({{"code", "none"}, {"message", "it left no report"}}));
    reports.push_back(report);
    absl::Status own;
    if (!exit.has_value()) {
      own = absl::UnavailableError(absl::StrCat("rank ", rank, " had not ended after ", absl::FormatDuration(at_most)));
    } else if (exit->exit_code != 0) {
      const std::string code = report.value("code", ""), message = report.value("message", "");
      const std::string text = absl::StrCat("rank ", rank, ": ", DescribeExit(*exit), ": ", message);
      own = code == "UNAVAILABLE" ? absl::UnavailableError(text) : absl::InternalError(text);
    }
    // When one rank fails, the others' collectives fail, too; its own reason is more useful.
    if (first.ok() || (absl::IsUnavailable(first) && !own.ok())) first = own;
  }
  if (!first.ok()) return first;
  return reports;
}

}  // namespace muster
