#include "coordinator/core/api_job.h"

namespace muster {
namespace {

muster::v1::AttemptInfo ApiAttemptFrom(const journal::v1::StoredAttempt& stored) {
  muster::v1::AttemptInfo info;
  info.set_number(stored.number());
  *info.mutable_ranks() = stored.ranks();
  if (stored.has_started()) *info.mutable_started() = stored.started();
  if (stored.has_ended()) *info.mutable_ended() = stored.ended();
  info.set_end_reason(stored.end_reason());
  info.set_from_step(stored.from_step());
  info.set_last_step(stored.last_step());
  info.set_end_code(stored.end_code());
  return info;
}

}  // namespace

muster::v1::Job ApiJobFrom(const journal::v1::StoredJob& stored) {
  muster::v1::Job job;
  job.set_id(stored.id());
  if (stored.has_spec()) *job.mutable_spec() = stored.spec();
  if (stored.has_resolved()) *job.mutable_resolved() = stored.resolved();
  job.set_phase(stored.phase());
  job.set_reason(stored.reason());
  job.set_reason_code(stored.reason_code());
  job.set_owner(stored.owner());
  if (stored.has_submitted()) *job.mutable_submitted() = stored.submitted();
  if (stored.has_ended()) *job.mutable_ended() = stored.ended();
  if (stored.has_progress()) *job.mutable_progress() = stored.progress();
  for (const journal::v1::StoredAttempt& attempt : stored.attempts()) *job.add_attempts() = ApiAttemptFrom(attempt);
  *job.mutable_checkpoints() = stored.checkpoints();
  *job.mutable_evaluations() = stored.evaluations();
  job.set_export_manifest(stored.export_manifest());
  job.set_revision(stored.revision());
  job.set_trace_manifest(stored.trace_manifest());
  job.set_step_log_manifest(stored.step_log_manifest());
  return job;
}

}  // namespace muster
