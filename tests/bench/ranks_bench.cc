// muster-ranks-bench: a training step on 1, 2 and 4 ranks that share this machine: seconds by phase, and the bytes that
// the ranks' collectives send against the least possible. Ranks are threads, which talk over Gloo and loopback sockets as
// processes do. Random weights of MiniLM's shape and random texts.
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/clock.h"
#include "common/status.h"
#include "tests/bench/batch_shares.h"
#include "tests/bench/collective_bytes.h"
#include "worker/rank/collective/in_process.h"
#include "worker/rank/model/block_allocator.h"
#include "worker/rank/train/testing/problem_options.h"

namespace muster {
namespace {

using nlohmann::json;

struct Options {
  std::vector<uint32_t> ranks = {1, 2, 4};
  uint32_t queries = 64, length = 64;
  int threads = 2, steps = 5;  // threads of all ranks together
  std::string json;
};

EncoderConfig MiniLmShape() {
  EncoderConfig config;
  config.vocabulary_size = 30522;
  config.hidden_size = 384;
  config.layers = 6;
  config.heads = 12;
  config.intermediate_size = 1536;
  config.max_positions = 512;
  return config;
}

double Median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

struct Measured {
  std::map<std::string, std::vector<double>> seconds;  // by phase, and "step"; of rank 0
  std::map<std::string, double> bytes, least;          // of all ranks together
};

StepSizes SizesOf(const Encoder& encoder, const std::vector<muster::internal::v1::StepShare>& shares) {
  StepSizes sizes{.width = encoder.config().EmbeddingSize(), .rank_counts = RankCountsOf(shares)};
  for (const Parameter& parameter : encoder.parameters()) sizes.parameters += parameter.value.numel();
  return sizes;
}

absl::Status RunRank(const Options& options, const std::vector<muster::internal::v1::StepShare>& shares, Group& group,
                     Measured& measured) {
  at::set_num_threads(std::max<int>(1, options.threads / static_cast<int>(shares.size())));
  ASSIGN_OR_RETURN(const auto encoder, Encoder::Random(MiniLmShape(), 1));
  TrainerOptions trainer_options =
      PlainOptions(muster::v1::OBJECTIVE_JOINTLH, /*temperature=*/0.05, /*learning_rate=*/1e-5, /*dropout=*/0.1);
  trainer_options.keep_activations = uint64_t{4} << 30;
  Trainer trainer(*encoder, group, RealClock(), trainer_options);
  muster::internal::v1::StepShare share = shares[group.rank()];
  for (int step = 0; step <= options.steps; ++step) {
    share.set_step(static_cast<uint64_t>(step));
    const absl::Duration start = RealClock().Monotonic();
    ASSIGN_OR_RETURN(const StepBatch batch, BatchFromShare(share, encoder->config(), at::kCPU));
    ASSIGN_OR_RETURN(const StepReport report, trainer.Step(batch));
    if (step == 0 || group.rank() != 0) continue;  // the first one warms up
    measured.seconds["step"].push_back(absl::ToDoubleSeconds(RealClock().Monotonic() - start));
    for (const auto& [phase, seconds] : report.seconds) measured.seconds[PhaseName(phase)].push_back(seconds);
  }
  if (shares.size() == 1) return absl::OkStatus();
  share.set_step(static_cast<uint64_t>(options.steps) + 1);
  ASSIGN_OR_RETURN(const StepBatch batch, BatchFromShare(share, encoder->config(), at::kCPU));
  ASSIGN_OR_RETURN(const double bytes, LoopbackBytesOf(group, [&] { return trainer.Step(batch).status(); }));
  const StepSizes sizes = SizesOf(*encoder, shares);
  ASSIGN_OR_RETURN(measured.bytes, CollectiveBytesOf(group, sizes, at::kCPU));
  measured.bytes["step"] = bytes;
  measured.least = LeastBytesOf(sizes);
  return absl::OkStatus();
}

absl::StatusOr<json> Measure(const Options& options, uint32_t ranks) {
  const std::vector<muster::internal::v1::StepShare> shares =
      SharesOf(RandomTokenBatch(options.queries, options.length, 30522), ranks, 16384);
  std::vector<Measured> measured(ranks);
  for (const absl::Status& status : RunInProcessRanks(
           ranks, [&](Group& group) { return RunRank(options, shares, group, measured[group.rank()]); })) {
    RETURN_IF_ERROR(status);
  }
  json row = {{"ranks", ranks}};
  std::printf("%u ranks:", ranks);
  for (const auto& [phase, values] : measured[0].seconds) {
    row["seconds"][phase] = Median(values);
    std::printf(" %s %.3f s", phase.c_str(), Median(values));
  }
  for (const auto& [name, least] : measured[0].least) {
    const double bytes = measured[0].bytes[name];
    row["bytes"][name] = {{"sent", bytes}, {"least", least}, {"ratio", bytes / least}};
    std::printf("%s %s %.2f MB, %.3f of the least", name == "gather" ? "\n   bytes:" : ",", name.c_str(), bytes / 1e6,
                bytes / least);
  }
  std::printf("\n");
  std::fflush(stdout);
  return row;
}

absl::Status MeasureAll(const Options& options) {
  json rows;
  std::printf("%u queries with one passage each, about %u tokens per text, %d threads in all, median of %d steps\n",
              options.queries, options.length, options.threads, options.steps);
  for (const uint32_t ranks : options.ranks) {
    ASSIGN_OR_RETURN(rows.emplace_back(), Measure(options, ranks));
  }
  if (!options.json.empty()) std::ofstream(options.json) << rows.dump(2) << "\n";
  return absl::OkStatus();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Options options;
  CLI::App app("Seconds by phase and bytes of a step on several ranks of this machine.", "muster-ranks-bench");
  app.add_option("--ranks", options.ranks, "numbers of ranks")->delimiter(',');
  app.add_option("--queries", options.queries, "per step")->check(CLI::PositiveNumber);
  app.add_option("--length", options.length, "mean tokens per text")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "of all ranks together")->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "after the first")->check(CLI::PositiveNumber);
  app.add_option("--json", options.json, "the figures are written to this file too");
  CLI11_PARSE(app, argc, argv);
  muster::UseBlockAllocator();
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);  // as muster-rank
  const absl::Status status = muster::MeasureAll(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "muster-ranks-bench: %s\n", std::string(status.message()).c_str());
  return 1;
}
