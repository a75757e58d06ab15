// The trained model as a folder at the blob store.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "muster/internal/v1/worker.pb.h"
#include "muster/rank/v1/rank.pb.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/export/export.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// Exports into the rank's scratch folder, stores the folder, and returns its manifest's digest. The evaluations, and
// why training stopped early, go into the model card.
absl::StatusOr<std::string> ExportModel(const muster::rank::v1::RankConfig& config, const Encoder& encoder,
                                        const std::filesystem::path& tokenizer,
                                        const std::optional<muster::v1::Evaluation>& untrained,
                                        const std::optional<muster::v1::Evaluation>& trained,
                                        const std::optional<muster::internal::v1::StoppedEarly>& stopped,
                                        BlobClient& blobs);

// Writes the encoder as a folder; adapters are merged into the weights. Sets the probe of `options` itself.
absl::Status ExportEncoder(const Encoder& trained, ExportOptions options);

// Runs a job that only exports; every rank calls it. Rank 0 stores and reports the model, a checkpoint of another job.
absl::Status StoreModel(const muster::rank::v1::RankConfig& config, const std::filesystem::path& folder, BlobClient& blobs,
                        AgentPipe& agent, Group& group);

}  // namespace muster
