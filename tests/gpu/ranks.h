// Ranks as processes: each is this program again, with a device group of NCCL (or, in a rehearsal, of Gloo).
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/process/child_process.h"
#include "tests/gpu/session.h"
#include "worker/rank/collective/group.h"

namespace muster {

// The configuration of a rank.
struct RankOrder {
  std::string task;
  int64_t rank = 0, world_size = 1;
  std::filesystem::path folder;  // used by this group only; each rank writes rank-N.json into it
  bool gpu = false;
  double timeout_seconds = 60;  // for joining and for each operation
};

// Runs one rank: joins the group, does its task, writes its report. Returns the exit code of the process.
int RunRank(const RankOrder& order);

// The ranks of one task, started together. On a GPU they share it: each has its own NCCL_HOSTID, because NCCL refuses
// two ranks of one host on one GPU.
class Ranks {
 public:
  static absl::StatusOr<Ranks> Start(const Session& session, const std::string& task, int64_t world_size,
                                     absl::Duration timeout);
  ~Ranks();
  Ranks(Ranks&&) = default;

  // The report of rank N, after all have ended. An error names the rank and how it ended.
  absl::StatusOr<std::vector<Figures>> Finish(absl::Duration at_most);

  ChildProcess& process(int64_t rank) { return processes_[rank]; }
  int64_t size() const { return static_cast<int64_t>(processes_.size()); }
  const std::filesystem::path& folder() const { return folder_; }
  absl::StatusOr<Figures> ReportOf(int64_t rank) const;

 private:
  Ranks() = default;
  std::vector<ChildProcess> processes_;
  std::filesystem::path folder_;
};

// Tasks, by name. A status that is not OK fails the rank.
using RankTask = absl::Status (*)(const RankOrder& order, Group& group, at::Device device, Figures& report);
absl::Status CollectiveTask(const RankOrder& order, Group& group, at::Device device, Figures& report);
absl::Status EndlessTask(const RankOrder& order, Group& group, at::Device device, Figures& report);
absl::Status StepTask(const RankOrder& order, Group& group, at::Device device, Figures& report);
absl::Status ProductionTask(const RankOrder& order, Group& group, at::Device device, Figures& report);
absl::Status ResumeTask(const RankOrder& order, Group& group, at::Device device, Figures& report);
absl::Status ScalingTask(const RankOrder& order, Group& group, at::Device device, Figures& report);

}  // namespace muster
