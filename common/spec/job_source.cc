#include "common/spec/job_source.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr std::string_view kPrefix = "job:";

}  // namespace

bool NamesJob(std::string_view from) { return from.starts_with(kPrefix); }

absl::StatusOr<JobSource> ParseJobSource(std::string_view from) {
  const std::string_view rest = from.substr(kPrefix.size());
  const size_t mark = rest.find('@');
  JobSource source = {.job = std::string(rest.substr(0, mark))};
  if (source.job.empty()) return absl::InvalidArgumentError("job: needs the id of a job after the colon.");
  if (mark == std::string_view::npos) return source;
  const absl::string_view step = ToAbsl(rest.substr(mark + 1));
  if (!absl::SimpleAtoi(step, &source.step.emplace()) || *source.step == 0 || absl::StrCat(*source.step) != step) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(from), "\": after @ comes the step of a checkpoint, as in job:",
                                                   source.job, "@100. muster get ", source.job, " lists its checkpoints."));
  }
  return source;
}

std::string ToString(const JobSource& source) {
  return absl::StrCat(ToAbsl(kPrefix), source.job, source.step.has_value() ? absl::StrCat("@", *source.step) : "");
}

}  // namespace muster
