// Measures a step of one batch on 1, 2 and 4 ranks: seconds by phase, and bytes of each collective against the least possible.
// Only reports figures. The ranks share a GPU and communicate over sockets.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/status.h"
#include "tests/bench/batch_shares.h"
#include "tests/bench/collective_bytes.h"
#include "tests/gpu/models.h"
#include "tests/gpu/ranks.h"
#include "worker/rank/train/testing/problem_options.h"

namespace muster {
namespace {

constexpr uint64_t kWarmUp = 2, kMeasured = 3;  // steps; on a GPU a step's phases are known one step later

double MedianOf(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

absl::Status MeasureRank(Group& group, at::Device device, Figures& figures) {
  const bool gpu = !device.is_cpu();
  const EncoderConfig config = gpu ? MiniLm() : SmallEncoder();
  const TokenBatch tokens = RandomTokenBatch(gpu ? 256 : 4, gpu ? 128 : 16, static_cast<uint32_t>(config.vocabulary_size));
  const auto shares = SharesOf(tokens, static_cast<uint32_t>(group.world_size()), /*micro_batch_tokens=*/16384);
  muster::internal::v1::StepShare share = shares[group.rank()];
  ASSIGN_OR_RETURN(const auto encoder, Encoder::Random(config, 1, {at::kFloat, device, /*bfloat16=*/gpu}));
  TrainerOptions options =
      PlainOptions(muster::v1::OBJECTIVE_JOINTLH, /*temperature=*/0.05, /*learning_rate=*/1e-5, /*dropout=*/0.1);
  options.keep_activations = uint64_t{16} << 30;
  Trainer trainer(*encoder, group, RealClock(), options);
  uint64_t step = 0;
  const auto take = [&](PhaseSeconds* phases) -> absl::Status {
    share.set_step(step++);
    ASSIGN_OR_RETURN(const StepBatch batch, BatchFromShare(share, config, device));
    ASSIGN_OR_RETURN(const StepReport report, trainer.Step(batch));
    Synchronize(device);
    if (phases != nullptr) *phases = report.seconds;
    return absl::OkStatus();
  };
  std::map<std::string, std::vector<double>> seconds;
  while (step < kWarmUp + kMeasured) {
    const bool measured = step >= kWarmUp;
    const absl::Duration start = RealClock().Monotonic();
    PhaseSeconds phases;
    RETURN_IF_ERROR(take(&phases));
    if (!measured) continue;
    seconds["step"].push_back(absl::ToDoubleSeconds(RealClock().Monotonic() - start));
    for (const auto& [phase, spent] : phases) seconds[PhaseName(phase)].push_back(spent);
  }
  for (const auto& [phase, values] : seconds) figures["seconds"][phase] = MedianOf(values);
  if (group.world_size() == 1) return absl::OkStatus();
  ASSIGN_OR_RETURN(const double step_bytes, LoopbackBytesOf(group, [&] { return take(nullptr); }));
  StepSizes sizes{.width = config.EmbeddingSize(), .rank_counts = RankCountsOf(shares)};
  for (const Parameter& parameter : encoder->parameters()) sizes.parameters += parameter.value.numel();
  ASSIGN_OR_RETURN(auto bytes, CollectiveBytesOf(group, sizes, device));
  bytes["step"] = step_bytes;
  for (const auto& [name, least] : LeastBytesOf(sizes)) {
    figures["bytes"][name] = {{"sent", bytes[name]}, {"least", least}, {"ratio", bytes[name] / least}};
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ScalingTask(const RankOrder&, Group& group, at::Device device, Figures& report) {
  return MeasureRank(group, device, report["scaling"]);
}

void RunScalingPart(Session& session) {
  session.Test("scaling.one_rank", [&](Figures& figures) {
    const auto group = MakeSingleGroup();
    return MeasureRank(*group, session.device(), figures);
  });
  for (const int64_t world_size : {2, 4}) {
    session.Test(absl::StrCat("scaling.", world_size, "_ranks"), [&](Figures& figures) -> absl::Status {
      ASSIGN_OR_RETURN(Ranks ranks, Ranks::Start(session, "scaling", world_size, absl::Seconds(20)));
      ASSIGN_OR_RETURN(const auto reports, ranks.Finish(absl::Seconds(25)));
      figures = reports[0]["scaling"];
      return absl::OkStatus();
    });
  }
}

}  // namespace muster
