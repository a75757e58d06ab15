#include "worker/agent/core/rank_exit.h"

#include <signal.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace muster {
namespace {

using muster::internal::v1::ExitCause;

std::string LastLine(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  return lines.empty() ? std::string() : std::string(absl::StripAsciiWhitespace(lines.back()));
}

std::string WithLastLine(const std::string& message, const std::string& log_tail) {
  const std::string last = LastLine(log_tail);
  return last.empty() ? message : absl::StrCat(message, ": ", last);
}

void Set(muster::internal::v1::RankExited& exited, ExitCause cause, const std::string& message) {
  exited.set_cause(cause);
  exited.set_message(message.substr(0, message.find('\n')));
}

}  // namespace

muster::internal::v1::RankExited DescribeRankExit(const RankEnded& ended, const RankHistory& history) {
  muster::internal::v1::RankExited exited;
  exited.set_rank(ended.rank.rank);
  exited.set_exit_code(ended.status.exit_code);
  exited.set_signal(ended.status.signal);
  exited.set_log_tail(ended.log_tail);
  if (history.progress.has_value()) *exited.mutable_progress() = *history.progress;
  if (!ended.start_error.empty()) {
    Set(exited, muster::internal::v1::EXIT_CAUSE_ERROR, ended.start_error);
  } else if (history.nonsense) {
    Set(exited, muster::internal::v1::EXIT_CAUSE_ERROR, history.kill_reason);
  } else if (history.result.has_value() && history.result->cause() != muster::internal::v1::EXIT_CAUSE_UNSPECIFIED) {
    Set(exited, history.result->cause(), history.result->message());
  } else if (!history.stop_reason.empty()) {
    Set(exited, muster::internal::v1::EXIT_CAUSE_STOPPED,
        history.kill_reason.empty() ? history.stop_reason
                                    : absl::StrCat(history.stop_reason, "; ", history.kill_reason));
  } else if (ended.status.signal == SIGKILL) {
    Set(exited, muster::internal::v1::EXIT_CAUSE_SIGNAL,
        "killed by SIGKILL. If the host ran out of memory: fewer slots, or smaller micro-batches");
  } else if (ended.status.signal != 0) {
    Set(exited, muster::internal::v1::EXIT_CAUSE_SIGNAL, WithLastLine(DescribeExit(ended.status), ended.log_tail));
  } else {
    const std::string how = ended.status.exit_code == 0 ? "ended without saying why" : DescribeExit(ended.status);
    Set(exited, muster::internal::v1::EXIT_CAUSE_ERROR, WithLastLine(how, ended.log_tail));
  }
  return exited;
}

}  // namespace muster
