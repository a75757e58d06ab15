#include "coordinator/core/requests.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"
#include "common/request_id.h"
#include "common/spec/job_spec.h"

namespace muster {
namespace {

// Fills in the defaults of this version, because an older version may have written the record.
std::string ComparableBytes(muster::v1::JobSpec spec, muster::v1::Device device) {
  spec.mutable_resources()->set_device(device);
  FillDefaults(spec);
  return DeterministicBytes(spec);
}

// The previous version had one default for all devices. Where the job has that default and the submission has today's
// default of its device, both left out the size.
void AllowFormerDefaults(const muster::v1::JobSpec& submitted, muster::v1::JobSpec& asked) {
  constexpr uint32_t kFormerMicroBatchTokens = 16384;
  constexpr uint64_t kFormerKeepActivations = uint64_t{4} << 30;
  muster::v1::JobSpec today = asked;
  today.mutable_resources()->set_device(submitted.resources().device());
  today.mutable_batch()->clear_micro_batch_tokens();
  today.mutable_batch()->clear_keep_activations();
  FillDefaults(today);
  muster::v1::BatchSpec& batch = *asked.mutable_batch();
  if (submitted.batch().micro_batch_tokens() == kFormerMicroBatchTokens &&
      batch.micro_batch_tokens() == today.batch().micro_batch_tokens()) {
    batch.set_micro_batch_tokens(kFormerMicroBatchTokens);
  }
  if (submitted.batch().keep_activations() == kFormerKeepActivations &&
      batch.keep_activations() == today.batch().keep_activations()) {
    batch.set_keep_activations(kFormerKeepActivations);
  }
}

}  // namespace

absl::StatusOr<const JobRecord*> FindSubmission(const State& state, const std::string& owner,
                                                const std::string& request_id, const muster::v1::JobSpec& spec) {
  if (request_id.empty()) return nullptr;
  const auto found = state.submissions.find(SubmissionKey(owner, request_id));
  if (found == state.submissions.end()) return nullptr;
  const JobRecord& known = state.jobs.at(found->second);
  const muster::v1::JobSpec& submitted = known.job().spec();
  // If the submission says "auto", the record has the device that was chosen.
  const muster::v1::Device device = submitted.resources().device();
  const bool same_device = spec.resources().device() == device || spec.resources().device() == muster::v1::DEVICE_AUTO;
  // The submission leaves this value to the device. The record has the value that was chosen then, perhaps by an older version.
  muster::v1::JobSpec asked = spec;
  muster::v1::BatchSpec& batch = *asked.mutable_batch();
  if (!batch.has_micro_batch_tokens()) batch.set_micro_batch_tokens(submitted.batch().micro_batch_tokens());
  if (!batch.has_keep_activations()) batch.set_keep_activations(submitted.batch().keep_activations());
  AllowFormerDefaults(submitted, asked);
  if (same_device && ComparableBytes(submitted, device) == ComparableBytes(asked, device)) return &known;
  return RequestIdReused(request_id, absl::StrCat("to submit job ", known.job().id(), ", which has another specification"));
}

std::string RequestKey(const JobCommand& command) {
  static constexpr absl::string_view kVerbs[] = {"cancel", "pause", "resume"};
  return absl::StrCat(kVerbs[static_cast<int>(command.verb)], "/", command.user, "/", command.request_id);
}

std::string RequestKey(const DrainWorker& command) {
  return absl::StrCat(command.undo ? "undo" : command.evict ? "evict" : "drain", "/", command.user, "/", command.request_id);
}

std::string RequestKey(const DeleteJob& command) { return absl::StrCat("delete/", command.user, "/", command.request_id); }

absl::Status CheckSameSubject(const std::string& deleted, const DeleteJob& command) {
  if (deleted == command.job_id) return absl::OkStatus();
  return RequestIdReused(command.request_id, absl::StrCat("for job ", deleted));
}

absl::Status CheckSameSubject(const State& state, const JobCommand& command) {
  if (command.request_id.empty()) return absl::OkStatus();
  const auto known = state.index.requests.find(RequestKey(command));
  if (known == state.index.requests.end()) return absl::OkStatus();
  for (const std::string& job : known->second) {
    if (job != command.job_id) return RequestIdReused(command.request_id, absl::StrCat("for job ", job));
  }
  return absl::OkStatus();
}

absl::Status CheckSameSubject(const State& state, const DrainWorker& command) {
  if (command.request_id.empty()) return absl::OkStatus();
  const std::string key = RequestKey(command);
  for (const auto& [name, record] : state.workers) {
    const auto& known = record.requests();
    if (name == command.worker || std::find(known.begin(), known.end(), key) == known.end()) continue;
    return RequestIdReused(command.request_id, absl::StrCat("for worker ", name));
  }
  return absl::OkStatus();
}

}  // namespace muster
