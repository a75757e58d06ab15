// The encoder that a specification asks for.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// A preset with random weights of the job's seed, or the model in `folder`, with the specification's pooling,
// normalisation and precision, on `device`.
absl::StatusOr<std::unique_ptr<Encoder>> EncoderFromSpec(const muster::v1::JobSpec& spec,
                                                         const std::filesystem::path& folder,
                                                         int64_t vocabulary_size, at::Device device = at::kCPU);

}  // namespace muster
