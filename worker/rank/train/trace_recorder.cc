#include "worker/rank/train/trace_recorder.h"

#include <c10/util/Exception.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/exception_status.h"
#include "common/files.h"

namespace muster {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

}  // namespace

TraceRecorder::TraceRecorder(Options options) : options_(std::move(options)) {}

TraceRecorder::~TraceRecorder() {
  if (recording_) profiler::disableProfiler();
}

void TraceRecorder::BeforeStep() {
  if (recording_ || options_.steps == 0 || steps_done_ != options_.skip) return;
  std::set<ActivityType> activities = {ActivityType::CPU};
  if (options_.gpu) activities.insert(ActivityType::CUDA);
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO,
                                                     /*report_input_shapes=*/true);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities,
                           {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE});
  recording_ = true;
}

absl::StatusOr<bool> TraceRecorder::AfterStep(bool last) try {
  ++steps_done_;
  if (!recording_ || (!last && steps_done_ < options_.skip + options_.steps)) return false;
  recording_ = false;
  profiler::disableProfiler()->save(options_.file.string());
  std::error_code error;
  if (std::filesystem::file_size(options_.file, error) > 0 && !error) return true;
  return absl::ResourceExhaustedError(
      absl::StrCat(options_.file.string(), ": the trace cannot be written. Is the disk full, or the folder missing?"));
} catch (const c10::Error& error) {
  return StatusFromException(absl::StatusCode::kInternal, "the trace cannot be recorded", error);
}

}  // namespace muster
