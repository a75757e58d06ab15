// Estimates what a job would do from a sample of its steps (`muster submit --dry-run`). Stores nothing.
#pragma once

#include "absl/status/statusor.h"
#include "common/model/hf_config.h"
#include "coordinator/data/service/data_stores.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// `request.spec` has its defaults filled in, and `request.resolved` is the result of ResolveJob. Plans at most 16 steps
// and tokenizes only their texts, so the time does not depend on the dataset's size.
absl::StatusOr<muster::v1::TrainingPreview> PreviewTraining(DataStores& stores,
                                                            const muster::internal::v1::PreviewRequest& request);

// An estimate of a rank's memory in bytes: weights, gradients and AdamW's moments, the graphs that it may keep, and the
// embeddings of `sequences` (of one step on all ranks) with their gradients. docs/reference/job-spec.md says what is
// not included. INVALID_ARGUMENT if model.lora names no product of the model.
absl::StatusOr<uint64_t> EstimateBytesPerRank(const EncoderConfig& config, const muster::v1::JobSpec& spec,
                                              uint32_t embedding_size, uint64_t sequences);

}  // namespace muster
