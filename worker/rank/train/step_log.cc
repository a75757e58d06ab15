#include "worker/rank/train/step_log.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/status.h"
#include "worker/rank/loss/positive_weights.h"

namespace muster {
namespace {

// The shortest text that reads back as the same bits: logs of equal runs are equal.
std::string Exactly(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

// ",positive_weight_1,…,noise_weight"
std::string WeightColumns() {
  std::string text;
  for (size_t place = 1; place <= kRankedPositives; ++place) absl::StrAppend(&text, ",positive_weight_", place);
  return text + ",noise_weight";
}

// Empty where there is no such positive, or no noise. Six digits, because there are nine of them in every line.
std::string WeightValues(const StepReport& report) {
  std::string text;
  for (size_t place = 0; place < kRankedPositives; ++place) {
    text += place < report.positive_weights.size() ? absl::StrFormat(",%.6g", report.positive_weights[place]) : ",";
  }
  return text + (report.noise_weight.has_value() ? absl::StrFormat(",%.6g", *report.noise_weight) : ",");
}

std::string Seconds(double seconds) { return absl::StrFormat("%.6f", seconds); }

}  // namespace

std::string StepLogHeader() {
  const auto column = [](std::string* out, StepPhase phase) { absl::StrAppend(out, PhaseName(phase), "_seconds"); };
  return absl::StrCat("step,attempt,time,loss,learning_rate,gradient_norm,queries,valid_rows,tokens,ignored_pairs,"
                      "mean_positive,mean_negative,positive_entropy,queries_per_second,seconds,",
                      absl::StrJoin(kStepPhases, ",", column), WeightColumns(), "\n");
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
  for (const StepPhase phase : kStepPhases) {
    const auto spent = report.seconds.find(phase);
    absl::StrAppend(&line, ",", Seconds(spent == report.seconds.end() ? 0 : spent->second));
  }
  return absl::StrCat(line, WeightValues(report), "\n");
}

AdoptedStepLog AdoptStepLog(const std::string& text, uint64_t steps) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  lines.pop_back();  // empty, or a line that was cut
  const std::string header = StepLogHeader();
  const std::vector<absl::string_view> own = absl::StrSplit(absl::StripSuffix(header, "\n"), ',');
  const std::vector<absl::string_view> known =
      lines.empty() ? std::vector<absl::string_view>() : absl::StrSplit(lines[0], ',');
  const auto step_column = std::find(known.begin(), known.end(), "step");
  if (step_column == known.end()) return {header, "it has no column \"step\", so the log starts over"};

  AdoptedStepLog adopted{.text = header};
  uint64_t last = 0, taken = 0, left_out = 0;
  for (size_t line = 1; line < lines.size(); ++line) {
    const std::vector<absl::string_view> values = absl::StrSplit(lines[line], ',');
    uint64_t step = 0;
    if (values.size() != known.size() || !absl::SimpleAtoi(values[step_column - known.begin()], &step) ||
        step <= last || step > steps) {
      ++left_out;
      continue;
    }
    last = step;
    ++taken;
    std::vector<absl::string_view> row;
    for (const absl::string_view column : own) {
      const auto found = std::find(known.begin(), known.end(), column);
      row.push_back(found == known.end() ? absl::string_view() : values[found - known.begin()]);
    }
    absl::StrAppend(&adopted.text, absl::StrJoin(row, ","), "\n");
  }
  std::vector<std::string> notes;
  if (known != own) notes.push_back("it has other columns");
  if (left_out > 0) notes.push_back(absl::StrCat(left_out, " lines are left out"));
  if (taken < steps) notes.push_back(absl::StrCat("it has ", taken, " of ", steps, " steps"));
  adopted.note = absl::StrJoin(notes, "; ");
  return adopted;
}

absl::Status StepLog::Clear() { return WriteFileAtomically(file_, StepLogHeader()); }

absl::Status StepLog::Append(const StepReport& report, uint32_t attempt, double seconds, absl::Time now) {
  std::ofstream out(file_, std::ios::app);
  out << StepLogLine(report, attempt, seconds, now);
  out.close();
  return out ? absl::OkStatus()
             : absl::ResourceExhaustedError(absl::StrCat(file_.string(), ": cannot write. Is the disk full?"));
}

uint64_t StepLog::Size() const {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(file_, error);
  return error ? 0 : size;
}

absl::Status StepLog::WriteTo(const std::filesystem::path& folder, uint64_t size) const {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file_));
  RETURN_IF_ERROR(MakeFolders(folder));
  return WriteFileAtomically(folder / kStepLogFile, std::string_view(text).substr(0, size));
}

std::string StepLog::ReadFrom(const std::filesystem::path& folder, uint64_t steps) {
  const absl::StatusOr<std::string> text = ReadFile(folder / kStepLogFile);
  if (!text.ok()) return absl::StrCat("the log starts over: ", text.status().message());
  AdoptedStepLog adopted = AdoptStepLog(*text, steps);
  const absl::Status written = WriteFileAtomically(file_, adopted.text);
  return written.ok() ? adopted.note : std::string(written.message());
}

}  // namespace muster
