// Checks which settings of a rank's configuration reach the group that it joins.
#include "worker/rank/link/rank_setup.h"

#include <gtest/gtest.h>

#include <optional>

#include "common/version.h"
#include "worker/rank/link/testing/fake_cluster.h"

namespace muster {
namespace {

// A CUDA side without a GPU, which records the options that a rank passes to NCCL.
class FakeCuda final : public CudaBackend {
 public:
  const TileOps& tile_ops() override { return CpuTileOps(); }
  const DropoutOps& dropout_ops() override { return DropoutOpsOf(at::kCPU); }
  const EncoderOps& encoder_ops() override { return EncoderOpsOf(at::kCPU); }
  const AttentionOps& attention_ops() override { return CpuAttentionOps(); }
  absl::StatusOr<std::unique_ptr<Group>> JoinNccl(const JoinOptions& options, at::Device device) override {
    joined_ = options;
    device_ = device;
    return MakeSingleGroup();
  }
  absl::StatusOr<int> CountDevices() override { return 2; }
  absl::Status SetDevice(at::Device) override { return absl::OkStatus(); }

  const std::optional<JoinOptions>& joined() const { return joined_; }
  at::Device device() const { return device_; }

 private:
  std::optional<JoinOptions> joined_;
  at::Device device_ = at::kCPU;
};

class JoinAttemptTest : public testing::Test {
 protected:
  // The options with which rank 1 of 2, on GPU 1, joins.
  JoinOptions Joined(v1::Reductions reductions) {
    rank::v1::RankConfig config;
    config.set_job_id("j");
    config.set_attempt(3);
    config.set_rank(1);
    config.set_world_size(2);
    config.set_interface_address("127.0.0.2");
    config.mutable_spec()->mutable_resources()->set_reductions(reductions);
    FakeCuda cuda;
    const RankDevice device{.device = at::Device(at::kCUDA, 1), .cuda = &cuda};
    EXPECT_TRUE(JoinAttempt(config, {.coordinator = cluster_.Channel(), .data = nullptr}, device).ok());
    EXPECT_EQ(cuda.device(), device.device);
    return cuda.joined().value();
  }

  FakeCluster cluster_;
};

TEST_F(JoinAttemptTest, NcclSumsInFixedOrderUnlessTheJobAsksForTheFastest) {
  EXPECT_TRUE(Joined(v1::REDUCTIONS_UNSPECIFIED).fixed_order_of_sums);
  EXPECT_TRUE(Joined(v1::REDUCTIONS_FIXED_ORDER).fixed_order_of_sums);
  EXPECT_FALSE(Joined(v1::REDUCTIONS_FASTEST).fixed_order_of_sums);
}

TEST_F(JoinAttemptTest, NcclMeetsTheRanksOfTheConfiguration) {
  const JoinOptions options = Joined(v1::REDUCTIONS_UNSPECIFIED);
  EXPECT_EQ(options.rank, 1);
  EXPECT_EQ(options.world_size, 2);
  EXPECT_EQ(options.interface_address, "127.0.0.2");
}

// The data server sends what ranks of that protocol read.
TEST(IdentityOf, NamesTheProtocolOfTheBuild) {
  muster::rank::v1::RankConfig config;
  config.set_rank(3);
  EXPECT_EQ(IdentityOf(config).rank(), 3u);
  EXPECT_EQ(IdentityOf(config).protocol(), kProtocol);
}

}  // namespace
}  // namespace muster
