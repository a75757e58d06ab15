#include <string.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/job_machine.h"

namespace muster {
namespace {

using muster::internal::v1::RankExited;

std::string LastLine(const std::string& text) {
  std::string last;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StripAsciiWhitespace(line).empty()) last = std::string(line);
  }
  return last;
}

std::string What(const RankExited& exit) {
  if (exit.signal() != 0) {
    const char* name = sigabbrev_np(exit.signal());
    return name == nullptr ? absl::StrCat("was killed by signal ", exit.signal()) : absl::StrCat("was killed by SIG", name);
  }
  if (exit.cause() == muster::internal::v1::EXIT_CAUSE_STOPPED) return "was stopped by its agent";
  if (exit.cause() == muster::internal::v1::EXIT_CAUSE_COLLECTIVE) return "lost its peers";
  return exit.exit_code() != 0 ? absl::StrCat("exited with code ", exit.exit_code()) : "failed";
}

muster::v1::ReasonCode CodeOf(muster::internal::v1::ExitCause cause) {
  switch (cause) {
    case muster::internal::v1::EXIT_CAUSE_STOPPED: return muster::v1::REASON_CODE_WORKER_DRAINING;
    case muster::internal::v1::EXIT_CAUSE_COLLECTIVE: return muster::v1::REASON_CODE_PEERS_LOST;
    case muster::internal::v1::EXIT_CAUSE_PERMANENT: return muster::v1::REASON_CODE_PERMANENT_ERROR;
    case muster::internal::v1::EXIT_CAUSE_DISAGREEMENT: return muster::v1::REASON_CODE_RANKS_DISAGREE;
    case muster::internal::v1::EXIT_CAUSE_UNSPECIFIED:
    case muster::internal::v1::EXIT_CAUSE_SUCCESS:
    case muster::internal::v1::EXIT_CAUSE_ERROR:
    case muster::internal::v1::EXIT_CAUSE_SIGNAL:
    case muster::internal::v1::ExitCause_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::internal::v1::ExitCause_INT_MAX_SENTINEL_DO_NOT_USE_: break;
  }
  return muster::v1::REASON_CODE_RANK_FAILED;
}

}  // namespace

Reason ReasonOfExit(const JobRecord& job, uint32_t attempt, const RankExited& exit) {
  return {CodeOf(exit.cause()), DescribeExit(job, attempt, exit)};
}

std::string DescribeExit(const JobRecord& job, uint32_t attempt, const RankExited& exit) {
  std::string who = absl::StrCat("rank ", exit.rank());
  for (const journal::v1::StoredAttempt& info : job.job().attempts()) {
    if (info.number() != attempt || exit.rank() >= info.ranks_size()) continue;
    absl::StrAppend(&who, " on ", info.ranks(static_cast<int>(exit.rank())).worker());
  }
  if (!exit.message().empty()) return absl::StrCat(who, ": ", exit.message());
  const std::string line = LastLine(exit.log_tail());
  return absl::StrCat(who, " ", What(exit), line.empty() ? "" : ": ", line);
}

}  // namespace muster
