#include "worker/rank/link/checkpoints.h"

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/status.h"
#include "worker/rank/train/trainer.h"

namespace muster {

using muster::v1::CheckpointInfo;

CheckpointWriter::CheckpointWriter(BlobClient& blobs, Options options) : blobs_(blobs), options_(std::move(options)) {}

CheckpointWriter::~CheckpointWriter() { Wait().IgnoreError(); }

absl::Status CheckpointWriter::Wait() {
  if (thread_.joinable()) thread_.join();
  return last_;
}

void CheckpointWriter::Prepare(const Encoder& encoder, const AdamW& optimizer) {
  Wait().IgnoreError();
  copy_.Reserve(encoder, optimizer);
  thread_ = std::thread([this] { copy_.Touch(); });
}

void CheckpointWriter::Start(const Source& source, absl::Duration began) {
  Wait().IgnoreError();  // logged by its thread
  copy_.Take(source.encoder, source.optimizer, source.cursor, source.best);
  step_ = source.cursor.step;
  const uint64_t log_size = source.steps.Size();
  const double stopped = absl::ToDoubleSeconds(RealClock().Monotonic() - began);
  busy_ = true;
  thread_ = std::thread([this, &steps = source.steps, log_size, began, stopped] {
    last_ = Store(steps, log_size, began, stopped);
    if (!last_.ok()) spdlog::warn("the checkpoint of step {} was not stored: {}", step_, std::string(last_.message()));
    busy_ = false;
  });
}

absl::Status CheckpointWriter::Store(const StepLog& steps, uint64_t log_size, absl::Duration began, double stopped) {
  const std::filesystem::path folder = options_.scratch / absl::StrCat("checkpoint-", step_);
  const auto remove = [&folder] {
    std::error_code ignored;  // the agent removes the scratch folder in any case
    std::filesystem::remove_all(folder, ignored);
  };
  const auto store = [&]() -> absl::StatusOr<CheckpointInfo> {
    if (const absl::Status log = steps.WriteTo(folder, log_size); !log.ok()) {
      spdlog::warn("the checkpoint of step {} has no step log: {}", step_, std::string(log.message()));
    }
    RETURN_IF_ERROR(copy_.WriteTo(folder));
    ASSIGN_OR_RETURN(const auto manifest, blobs_.PutFolder(folder));
    CheckpointInfo checkpoint;
    ASSIGN_OR_RETURN(*checkpoint.mutable_manifest(), blobs_.PutManifest(manifest));
    for (const auto& file : manifest.files()) checkpoint.set_bytes(checkpoint.bytes() + file.size());
    return checkpoint;
  };
  absl::StatusOr<CheckpointInfo> checkpoint = store();
  remove();
  if (!checkpoint.ok()) return checkpoint.status();
  const double seconds = absl::ToDoubleSeconds(RealClock().Monotonic() - began);
  checkpoint->set_step(step_);
  checkpoint->set_attempt(options_.attempt);
  checkpoint->mutable_time()->set_seconds(absl::ToUnixSeconds(RealClock().Now()));
  checkpoint->set_seconds(seconds);
  busy_ = false;  // before the report, because its receiver may start the next checkpoint immediately
  options_.stored(*checkpoint);
  spdlog::info("the checkpoint of step {} is stored: {:.2f} s, in which training stopped for {:.3f} s", step_, seconds,
               stopped);
  return absl::OkStatus();
}

absl::Status CompareParameters(Group& group, const Encoder& encoder, uint64_t step) {
  ASSIGN_OR_RETURN(const auto digests, group.AllGatherBytes(ParameterDigest(encoder.parameters())));
  for (size_t r = 1; r < digests.size(); ++r) {
    if (digests[r] == digests[0]) continue;
    return WithReason(absl::InternalError(absl::StrCat("step ", step, ": the parameters of rank ", r,
                                                       " are not those of rank 0; the checkpoint is not written")),
                      kRanksDisagree);
  }
  return absl::OkStatus();
}

}  // namespace muster
