#include "client/watch_job.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/call.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/rpc/errors.h"
#include "common/rpc/retry.h"
#include "common/spec/job_spec.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

// A server that stops ends its streams with UNAVAILABLE or CANCELLED, or without an error before the job has ended.
bool MayReconnect(const absl::Status& status) {
  return status.ok() || absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         RateLimitOf(status) > absl::ZeroDuration();
}

// The job's state when --timeout has passed.
std::string StillThere(const std::string& id, const muster::v1::Job& last, absl::Duration timeout) {
  const std::string after = absl::StrCat(" after ", DurationText(absl::ToDoubleSeconds(timeout)));
  if (last.phase() == muster::v1::JOB_PHASE_PAUSED) {
    return absl::StrCat("job ", id, " is paused. Resume it with muster resume ", id, ".");
  }
  if (last.phase() == muster::v1::JOB_PHASE_UNSPECIFIED) {
    return absl::StrCat("the coordinator reported nothing about job ", id, after, ". Look with muster get ", id, ".");
  }
  return absl::StrCat("job ", id, " is still ", WordOf(last.phase()), after, ". Follow it with muster watch ", id, ".");
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
  muster::v1::Job last;
  muster::v1::WatchJobRequest request;
  request.set_id(id);
  while (true) {
    grpc::ClientContext context;
    if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
    request.set_after_revision(last.revision());
    const auto reader = stub->WatchJob(&context, request);
    muster::v1::WatchJobResponse response;
    while (reader->Read(&response)) {
      printer.Update(response.job(), clock.Monotonic());
      last = response.job();
      if (IsOver(response.job().phase())) return response.job();
      last_heard = clock.Monotonic();
      wait = absl::Milliseconds(200);
      told = false;
    }
    const absl::Status status = FromGrpc(reader->Finish());
    if (absl::IsDeadlineExceeded(status)) {
      return absl::DeadlineExceededError(StillThere(id, last, options.timeout));
    }
    if (!MayReconnect(status)) return status;
    // While certificates are being replaced they may not match for a moment, so this is only an error at the start.
    const bool heard = last.phase() != muster::v1::JOB_PHASE_UNSPECIFIED;
    if (!heard && IsWrongCertificate(status)) return ExplainUnreachable(status);
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

nlohmann::ordered_json FinalJobJson(const muster::v1::Job& job) {
  auto json = nlohmann::ordered_json::parse(JsonText(job));
  json["metrics"] = nlohmann::ordered_json::object();
  const bool evaluates_alone = EvaluatesOnly(job.spec());
  for (const muster::v1::Evaluation& evaluation : job.evaluations()) {
    if (evaluation.label() != "trained" && !evaluates_alone) continue;
    for (const std::string& name : OrderedMetricNames(evaluation)) json["metrics"][name] = evaluation.metrics().at(name);
  }
  // Scripts read the results of `eval` directly: jq '."ndcg@10"'.
  if (const auto metrics = json["metrics"]; evaluates_alone) json.update(metrics);
  return json;
}

std::string FinalJobText(const muster::v1::Job& job, OutputFormat format) { return Format(FinalJobJson(job), format); }

}  // namespace muster
