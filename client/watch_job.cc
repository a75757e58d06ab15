#include "client/watch_job.h"

#include <grpcpp/client_context.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/call.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/rpc/errors.h"
#include "common/rpc/retry.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

// A server that stops ends its streams with UNAVAILABLE or CANCELLED, or without an error before the job is over.
bool MayReconnect(const absl::Status& status) {
  return status.ok() || absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         RateLimitOf(status) > absl::ZeroDuration();
}

}  // namespace

absl::StatusOr<muster::v1::Job> WatchJob(const std::shared_ptr<grpc::Channel>& coordinator, const std::string& id,
                                         ProgressPrinter& printer, const WatchOptions& options) {
  const Clock& clock = RealClock();
  const auto stub = muster::v1::JobService::NewStub(coordinator);
  const absl::Time deadline = clock.Now() + options.timeout;
  absl::Duration last_heard = clock.Monotonic();
  absl::Duration wait = absl::Milliseconds(200);
  bool told = false;
  muster::v1::WatchRequest request;
  request.set_id(id);
  while (true) {
    grpc::ClientContext context;
    if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
    const auto reader = stub->Watch(&context, request);
    muster::v1::WatchResponse response;
    while (reader->Read(&response)) {
      printer.Update(response.job(), clock.Monotonic());
      if (IsOver(response.job().phase())) return response.job();
      last_heard = clock.Monotonic();
      wait = absl::Milliseconds(200);
      told = false;
    }
    const absl::Status status = FromGrpc(reader->Finish());
    if (absl::IsDeadlineExceeded(status)) {
      return absl::DeadlineExceededError(
          absl::StrCat("job ", id, " is not over after ", absl::FormatDuration(options.timeout), "; it goes on."));
    }
    if (!MayReconnect(status)) return status;
    if (clock.Monotonic() - last_heard > options.patience) {
      return ExplainUnreachable(status.ok() ? absl::UnavailableError("the stream ended")
                                            : absl::UnavailableError(status.message()));
    }
    if (const absl::Duration delay = RateLimitOf(status); delay > absl::ZeroDuration()) {
      absl::SleepFor(delay);
      continue;
    }
    if (!told) printer.Note("the coordinator does not answer; trying again");
    told = true;
    PauseBeforeRetry(*coordinator, wait);
    wait = std::min(wait * 2, absl::Duration(absl::Seconds(5)));
  }
}

int ExitCodeOf(const muster::v1::Job& job) {
  if (job.phase() == muster::v1::JOB_PHASE_SUCCEEDED) return kExitSucceeded;
  return job.phase() == muster::v1::JOB_PHASE_CANCELLED ? kExitCancelled : kExitJobFailed;
}

}  // namespace muster
