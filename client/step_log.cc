#include "client/step_log.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/find_job.h"
#include "client/stored_file.h"
#include "client/words.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "common/step_log_file.h"

namespace muster {

namespace {

constexpr int kStepLogTries = 5;  // a running job may drop the checkpoint between the two calls

absl::StatusOr<std::string> ReadFrom(BlobClient& blobs, const std::string& digest, const std::string& what) {
  ASSIGN_OR_RETURN(std::optional<std::string> text, ReadStoredFile(blobs, digest, kStepLogFile));
  if (!text.has_value()) return absl::DataLossError(absl::StrCat(what, " has no ", kStepLogFile));
  return *std::move(text);
}

}  // namespace

absl::StatusOr<std::string> FetchStepLog(BlobClient& blobs, const muster::v1::Job& job) {
  if (EvaluatesOnly(job.spec())) {
    return absl::FailedPreconditionError(absl::StrCat("job ", job.id(),
                                                      " takes no step (duration.steps: 0), and so has no step log."));
  }
  if (!job.step_log_manifest().empty()) return ReadFrom(blobs, job.step_log_manifest(), "the stored step log");
  if (!job.checkpoints().empty()) {
    const muster::v1::CheckpointInfo& newest = *job.checkpoints().rbegin();
    return ReadFrom(blobs, newest.manifest(), absl::StrCat("the checkpoint of step ", newest.step()));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("job ", job.id(), " has no checkpoint, and so no step log. It is ", WordOf(job.phase()),
                   "; its first checkpoint is that of step ", job.spec().checkpoint().every_steps(), "."));
}

absl::StatusOr<std::string> FetchStepLog(muster::v1::JobService::Stub& jobs, BlobClient& blobs, const std::string& given) {
  absl::StatusOr<std::string> text;
  for (int tries = 0; tries < kStepLogTries; ++tries) {
    ASSIGN_OR_RETURN(const muster::v1::Job job, GetNamedJob(jobs, given));
    text = FetchStepLog(blobs, job);
    if (!absl::IsNotFound(text.status())) break;
  }
  if (!text.ok()) return ExplainUnreachable(text.status());
  return text;
}

}  // namespace muster
