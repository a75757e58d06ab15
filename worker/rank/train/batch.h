// A batch from a stream, checked and converted to tensors. None of its content is trusted: a token id, slot or
// column that is out of range is refused here, so that the encoder and the loss need not check again.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/device/streams.h"
#include "worker/rank/loss/streaming_loss.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// A rank's share of one step.
struct StepBatch {
  uint64_t step = 0, epoch = 0;
  int64_t query_count = 0, passage_count = 0;
  std::vector<PackedBatch> micro_batches;  // the sequences that this rank encodes
  int64_t row_begin = 0, row_end = 0;
  RowEdges positives, ignored;  // of this rank's rows
  std::vector<double> positive_weights, row_weights;
  bool has_noise = false;      // the data server knows data.noise, and the job has it
  std::vector<uint8_t> noise;  // one per element of positives.columns: whether the noise put it there; empty: no
  double total_weight = 0;
  // Columns of this rank's rows that a teacher scored, and the scores. rows() is 0 if the share has no lists, as in a job
  // without distillation.
  RowEdges teacher_lists;
  std::vector<double> teacher_scores;
  uint64_t plan_digest = 0;
  bool epoch_end = false;
  std::vector<uint64_t> query_digests;  // of this rank's rows
  int64_t tokens = 0;                   // that this rank encodes
  std::shared_ptr<StreamEvent> uploaded;  // the micro-batches' tokens are on the device; null: nothing had to be uploaded
};

// Checks and converts a share. Errors are INVALID_ARGUMENT and name the step and the field.
absl::StatusOr<StepBatch> BatchFromShare(const muster::internal::v1::StepShare& share, const EncoderConfig& config,
                                         at::Device device);

// The same, with the tokens still on the host, in pinned memory if they will be copied to a GPU.
absl::StatusOr<StepBatch> HostBatchFromShare(const muster::internal::v1::StepShare& share, const EncoderConfig& config,
                                             bool pinned);
// Starts to copy the tokens to the device, concurrently with the step in progress.
void Upload(StepBatch& batch, Streams& streams);
// Makes the uploaded tokens visible to work that the calling thread enqueues from now on.
void AwaitUpload(const StepBatch& batch, Streams& streams);

// Slots must be below `slots`. Errors are INVALID_ARGUMENT and name the field.
absl::StatusOr<PackedBatch> PackedFromMicroBatch(const muster::internal::v1::MicroBatch& micro, int64_t slots,
                                                 const EncoderConfig& config, at::Device device);

}  // namespace muster
