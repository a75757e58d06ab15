// A rank that is killed, and one that is frozen: the others end within the bound, and report it.
#include <ATen/ATen.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/status.h"
#include "tests/gpu/ranks.h"

namespace muster {
namespace {

constexpr int64_t kWorld = 4, kVictim = 2;
constexpr int64_t kRoundsBefore = 20;
constexpr absl::Duration kTimeout = absl::Seconds(12);
// In addition to the timeout: time to abort, to refuse the next operation, to write the report and to end a process
// with CUDA.
constexpr absl::Duration kGrace = absl::Seconds(10);

std::filesystem::path MarkOf(const std::filesystem::path& folder) { return folder / "on-the-way"; }

// Time until the ranks have joined and are running.
absl::Status AwaitMark(Ranks& ranks) {
  const absl::Duration deadline = RealClock().Monotonic() + absl::Seconds(30);
  while (!std::filesystem::exists(MarkOf(ranks.folder()))) {
    for (int64_t rank = 0; rank < ranks.size(); ++rank) {
      if (ranks.process(rank).TryReap().has_value()) {
        const auto report = ranks.ReportOf(rank);
        return absl::InternalError(absl::StrCat("rank ", rank, " ended before the others were disturbed: ",
                                                report.ok() ? report->value("message", "") : "no report"));
      }
    }
    if (RealClock().Monotonic() > deadline) return absl::DeadlineExceededError("the ranks did not get under way");
    std::this_thread::yield();
  }
  return absl::OkStatus();
}

absl::Status Disturb(const Session& session, int signal, Figures& figures) {
  ASSIGN_OR_RETURN(Ranks ranks, Ranks::Start(session, "endless", kWorld, kTimeout));
  RETURN_IF_ERROR(AwaitMark(ranks));
  const absl::Duration start = RealClock().Monotonic();
  ranks.process(kVictim).Signal(signal);
  double longest = 0;
  for (int64_t rank = 0; rank < kWorld; ++rank) {
    if (rank == kVictim) continue;
    const absl::Duration left = start + kTimeout + kGrace - RealClock().Monotonic();
    const auto exit = ranks.process(rank).WaitFor(std::max(left, absl::ZeroDuration()));
    const double seconds = absl::ToDoubleSeconds(RealClock().Monotonic() - start);
    longest = std::max(longest, seconds);
    if (!exit.has_value()) {
      return absl::InternalError(absl::StrCat("rank ", rank, " had not ended after ", seconds, " s"));
    }
    ASSIGN_OR_RETURN(const Figures report, ranks.ReportOf(rank));
    const std::string message = report.value("message", "");
    figures["messages"].push_back(message);
    if (report.value("code", "") != "UNAVAILABLE" || !absl::StartsWith(message, "collective failed: all-reduce: ")) {
      return absl::InternalError(absl::StrCat("rank ", rank, " says ", report.value("code", ""), ": ", message));
    }
    RETURN_IF_ERROR(AtMost("seconds until the next operation was refused", report.value("refused_seconds", 1e9), 0.1));
    figures["seconds_to_failure"].push_back(report.value("failed_seconds", -1.0));
  }
  figures["timeout_seconds"] = absl::ToDoubleSeconds(kTimeout);
  figures["seconds_until_all_had_ended"] = longest;
  ranks.process(kVictim).Signal(SIGKILL);  // also ends a frozen one
  return absl::OkStatus();
}

}  // namespace

// Sums repeatedly until one fails; then once more, which must be refused at once.
absl::Status EndlessTask(const RankOrder& order, Group& group, at::Device device, Figures& report) {
  std::vector<at::Tensor> tensors = {at::ones({1 << 16}, at::TensorOptions().device(device))};
  absl::Duration start;
  absl::Status status;
  for (int64_t round = 0; status.ok(); ++round) {
    if (round == kRoundsBefore && order.rank == kVictim) std::ofstream(MarkOf(order.folder)) << "x\n";
    start = RealClock().Monotonic();
    tensors[0].fill_(1);
    status = group.AllReduceSum(tensors);
  }
  report["failed_seconds"] = absl::ToDoubleSeconds(RealClock().Monotonic() - start);
  start = RealClock().Monotonic();
  if (group.Barrier() != status) return absl::InternalError("the next operation was not refused with the same words");
  report["refused_seconds"] = absl::ToDoubleSeconds(RealClock().Monotonic() - start);
  return status;
}

void RunFailurePart(Session& session) {
  session.Test("failure.killed_rank", [&](Figures& figures) { return Disturb(session, SIGKILL, figures); });
  session.Test("failure.rank_that_stands_still", [&](Figures& figures) { return Disturb(session, SIGSTOP, figures); });
}

}  // namespace muster
