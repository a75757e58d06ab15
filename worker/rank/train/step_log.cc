#include "worker/rank/train/step_log.h"

#include <array>
#include <charconv>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr std::array kPhases = {"data", "encode", "gather", "loss", "backward", "reduce", "optimise"};

// The shortest text that reads back as the same bits: logs of equal runs are equal.
std::string Exactly(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

std::string Seconds(double seconds) { return absl::StrFormat("%.6f", seconds); }

}  // namespace

std::string StepLogHeader() {
  return absl::StrCat("step,attempt,time,loss,learning_rate,gradient_norm,queries,valid_rows,tokens,ignored_pairs,"
                      "mean_positive,mean_negative,positive_entropy,queries_per_second,seconds,",
                      absl::StrJoin(kPhases, "_seconds,"), "_seconds\n");
}

std::string StepLogLine(const StepReport& report, uint32_t attempt, double seconds, absl::Time now) {
  const double rate = seconds > 0 ? static_cast<double>(report.queries) / seconds : 0;
  std::string line = absl::StrCat(report.step + 1, ",", attempt, ",",
                                  absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone()), ",");
  for (const double value : {report.loss, report.learning_rate, report.gradient_norm}) {
    absl::StrAppend(&line, Exactly(value), ",");
  }
  absl::StrAppend(&line, report.queries, ",", report.valid_rows, ",", report.tokens, ",", report.ignored_pairs, ",");
  for (const double value : {report.mean_positive, report.mean_negative, report.positive_entropy}) {
    absl::StrAppend(&line, Exactly(value), ",");
  }
  absl::StrAppend(&line, absl::StrFormat("%.3f", rate), ",", Seconds(seconds));
  for (const char* phase : kPhases) {
    const auto spent = report.seconds.find(phase);
    absl::StrAppend(&line, ",", Seconds(spent == report.seconds.end() ? 0 : spent->second));
  }
  return line + "\n";
}

absl::Status CheckStepLog(const std::string& text, uint64_t steps) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  // Header, the steps, and nothing after the last newline.
  if (lines[0] + "\n" != StepLogHeader()) return absl::InvalidArgumentError("line 1 is not the header");
  for (uint64_t step = 1; step <= steps; ++step) {
    if (step >= lines.size() || !lines[step].starts_with(absl::StrCat(step, ","))) {
      return absl::InvalidArgumentError(absl::StrCat("line ", step + 1, " is not step ", step));
    }
  }
  if (lines.size() != steps + 2 || !lines.back().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("it does not end with step ", steps));
  }
  return absl::OkStatus();
}

absl::Status StepLog::Clear() { return WriteFileAtomically(file_, StepLogHeader()); }

absl::Status StepLog::Append(const StepReport& report, uint32_t attempt, double seconds, absl::Time now) {
  std::ofstream out(file_, std::ios::app);
  out << StepLogLine(report, attempt, seconds, now);
  out.close();
  return out ? absl::OkStatus() : absl::InternalError(absl::StrCat(file_.string(), ": cannot write. Is the disk full?"));
}

absl::Status StepLog::WriteTo(const std::filesystem::path& folder) const {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file_));
  RETURN_IF_ERROR(MakeFolders(folder));
  return WriteFileAtomically(folder / kStepLogFile, text);
}

absl::Status StepLog::ReadFrom(const std::filesystem::path& folder, uint64_t steps) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(folder / kStepLogFile));
  RETURN_IF_ERROR(WithContext(CheckStepLog(text, steps), (folder / kStepLogFile).string()));
  return WriteFileAtomically(file_, text);
}

}  // namespace muster
