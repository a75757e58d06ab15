// Makes everything that a rank needs before its first step, from its configuration.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/rank/v1/rank.pb.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/cuda/load.h"
#include "worker/rank/model/encoder.h"

namespace muster {

muster::internal::v1::RankIdentity IdentityOf(const muster::rank::v1::RankConfig& config);

struct RankChannels {
  std::shared_ptr<grpc::Channel> coordinator;
  std::shared_ptr<grpc::Channel> data;
};
absl::StatusOr<RankChannels> Connect(const muster::rank::v1::RankConfig& config);

// The device on which a rank computes.
struct RankDevice {
  at::Device device = at::kCPU;
  CudaBackend* cuda = nullptr;  // null on the CPU
};
// The CPU, or the GPU of the rank's slot: the slots of a host are the devices in CUDA_VISIBLE_DEVICES, in that order.
// INVALID_ARGUMENT if the host has no such GPU, or this build has no CUDA side: retrying would not help. Must come before
// the rank's other use of torch.
absl::StatusOr<RankDevice> OpenDevice(const muster::rank::v1::RankConfig& config);

// Joins the attempt's other ranks through the coordinator: over Gloo, or over NCCL for tensors on a GPU.
absl::StatusOr<std::unique_ptr<Group>> JoinAttempt(const muster::rank::v1::RankConfig& config,
                                                   const RankChannels& channels, const RankDevice& device);

// CPU threads of each rank, in the ranks' order.
absl::StatusOr<std::vector<uint32_t>> ThreadsOfAllRanks(Group& group);

struct LoadedModel {
  std::unique_ptr<Encoder> encoder;
  std::filesystem::path tokenizer;  // folder whose files go into the export
  std::filesystem::path folder;     // of the model; empty: a preset
};
// A preset with random weights of the job's seed, a pushed model's files, fetched into the host's cache, or a checkpoint of
// another job.
absl::StatusOr<LoadedModel> LoadModel(const muster::rank::v1::RankConfig& config, BlobClient& blobs,
                                      at::Device device);

}  // namespace muster
