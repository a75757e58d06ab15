#include "worker/rank/link/rank_setup.h"

#include <ATen/Parallel.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/security.h"
#include "common/status.h"
#include "common/version.h"
#include "worker/rank/collective/join.h"
#include "worker/rank/link/cache.h"
#include "worker/rank/link/grpc_store.h"
#include "worker/rank/link/model_checkpoint.h"
#include "worker/rank/train/model_spec.h"

namespace muster {

using muster::rank::v1::RankConfig;

namespace {

// The coordinator ends an attempt that makes no progress, and knows which rank caused it. A shorter timeout here would end the
// attempt on ranks that only wait for another one, even while that one waits for an unreachable server.
constexpr absl::Duration kCollectiveTimeout = absl::Hours(24 * 7);

}  // namespace

muster::internal::v1::RankIdentity IdentityOf(const RankConfig& config) {
  muster::internal::v1::RankIdentity identity;
  identity.set_job_id(config.job_id());
  identity.set_attempt(config.attempt());
  identity.set_rank(config.rank());
  identity.set_world_size(config.world_size());
  identity.set_protocol(kProtocol);
  return identity;
}

absl::StatusOr<RankChannels> Connect(const RankConfig& config) {
  SecurityOptions security{.certificates = config.certificates(),
                           .insecure = config.certificates().empty(),
                           .token_file = config.token_file()};
  RankChannels channels;
  ASSIGN_OR_RETURN(channels.coordinator, MakeChannel(config.coordinator_address(), security));
  security.ticket = config.ticket();
  if (config.data_addresses().empty()) {
    return absl::InvalidArgumentError("the rank's configuration names no data server");
  }
  ASSIGN_OR_RETURN(channels.data, MakeChannel(config.data_addresses(0), security));
  return channels;
}

absl::StatusOr<RankDevice> OpenDevice(const RankConfig& config) {
  if (config.device() != "gpu") return RankDevice();
  const auto refuse = [](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("resources.device: gpu: ", why, "; or submit with resources.device: cpu"));
  };
  const auto cuda = LoadCuda();
  if (!cuda.ok()) return refuse(cuda.status().message());
  const auto count = (*cuda)->CountDevices();
  if (!count.ok()) return refuse(count.status().message());
  if (config.slot() >= static_cast<uint32_t>(*count)) {
    return refuse(absl::StrCat("slot ", config.slot(), " needs its own GPU, CUDA shows ", *count,
                               " here. Start muster-worker with --slots ", *count));
  }
  const RankDevice device{.device = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(config.slot())), .cuda = *cuda};
  if (const absl::Status status = device.cuda->SetDevice(device.device); !status.ok()) return refuse(status.message());
  return device;
}

absl::StatusOr<std::unique_ptr<Group>> JoinAttempt(const RankConfig& config, const RankChannels& channels,
                                                   const RankDevice& device) {
  if (config.world_size() == 1) return MakeSingleGroup();
  const JoinOptions options{
      .store = MakeGrpcStore(channels.coordinator, config.job_id(), config.attempt()),
      .rank = config.rank(),
      .world_size = config.world_size(),
      .interface_address = config.interface_address().empty() ? "127.0.0.1" : config.interface_address(),
      .timeout = kCollectiveTimeout,
      .fixed_order_of_sums = config.spec().resources().reductions() != muster::v1::REDUCTIONS_FASTEST};
  return device.cuda != nullptr ? device.cuda->JoinNccl(options, device.device) : JoinGlooGroup(options);
}

absl::StatusOr<std::vector<uint32_t>> ThreadsOfAllRanks(Group& group) {
  ASSIGN_OR_RETURN(const auto all, group.AllGatherBytes(absl::StrCat(at::get_num_threads())));
  std::vector<uint32_t> threads(all.size());
  for (size_t r = 0; r < all.size(); ++r) {
    if (!absl::SimpleAtoi(all[r], &threads[r])) return absl::InternalError("a rank sent no number of threads");
  }
  return threads;
}

absl::StatusOr<LoadedModel> LoadModel(const RankConfig& config, BlobClient& blobs, at::Device device) {
  const std::filesystem::path cache = config.cache();
  LoadedModel loaded;
  std::filesystem::path& folder = loaded.folder;
  if (config.resolved().has_model_checkpoint()) {
    ASSIGN_OR_RETURN(folder, FolderOfCheckpoint(config.resolved().model_checkpoint(), config.resolved().model_manifest(), blobs,
                                                cache, config.scratch()));
  } else if (config.spec().model().preset().empty()) {
    ASSIGN_OR_RETURN(folder, FetchIntoCache(blobs, config.resolved().model_manifest(), cache));
  }
  if (!config.resolved().tokenizer_manifest().empty()) {
    ASSIGN_OR_RETURN(loaded.tokenizer, FetchIntoCache(blobs, config.resolved().tokenizer_manifest(), cache));
  } else {
    loaded.tokenizer = folder;
  }
  ASSIGN_OR_RETURN(loaded.encoder, EncoderFromSpec(config.spec(), folder, config.resolved().vocabulary_size(), device));
  return loaded;
}

}  // namespace muster
