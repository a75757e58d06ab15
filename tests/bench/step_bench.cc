// muster-step-bench: what a training step of one rank takes, with random weights of MiniLM's shape and random texts.
//
// memory  peak of a step with replay at a fixed micro-batch budget, for each number of queries in a fresh process.
//         Counted from a base at which the model, the optimizer, the gradients (of a warm step of the smallest size)
//         and the batch exist, and without the embeddings: two copies by size, the gathered ones and their gradients.
// cost    seconds of a step with all graphs replayed, and with half of them, over those of a step that keeps all,
//         interleaved in one process.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/random.h"
#include "tests/bench/process_memory.h"
#include "worker/rank/model/block_allocator.h"
#include "worker/rank/train/testing/problem_options.h"

namespace muster {
namespace {

constexpr double kMiB = 1 << 20;

struct Options {
  std::vector<int64_t> queries = {64, 256, 1024, 4096};
  int64_t micro_tokens = 512, cost_micro_tokens = 1024, cost_queries = 256;
  int64_t layers = 6, hidden = 384, length = 8, cost_length = 16;
  int threads = 1, repeats = 7;
  bool memory = true, cost = true;
  int64_t child = 0;
  std::string json;
};

EncoderConfig ConfigOf(const Options& options) {
  EncoderConfig config;
  config.vocabulary_size = 30522;
  config.hidden_size = options.hidden;
  config.layers = options.layers;
  config.heads = 12;
  config.intermediate_size = 4 * options.hidden;
  config.max_positions = 512;
  return config;
}

// Each query has one positive passage. Lengths spread evenly over half to one and a half times the mean.
StepBatch RandomStep(const Options& options, int64_t queries, int64_t mean_length, int64_t micro_tokens) {
  CounterRandom random(17);
  StepBatch batch{.query_count = queries, .passage_count = queries};
  std::vector<int64_t> lengths(2 * queries), order(2 * queries);
  for (int64_t& length : lengths) length = std::max<int64_t>(2, mean_length / 2 + random.Below(mean_length + 1));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::ranges::stable_sort(order, {}, [&](int64_t slot) { return lengths[slot]; });
  const auto vocabulary = static_cast<uint64_t>(ConfigOf(options).vocabulary_size);
  for (size_t first = 0; first < order.size();) {
    PackedBatch micro;
    int64_t total = 0;
    while (first < order.size() && (total == 0 || total + lengths[order[first]] <= micro_tokens)) {
      micro.slots.push_back(static_cast<uint32_t>(order[first]));
      micro.lengths.push_back(lengths[order[first]]);
      total += lengths[order[first++]];
    }
    micro.tokens = at::empty({total}, at::kLong);
    for (int64_t i = 0; i < total; ++i) {
      micro.tokens.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(random.Below(vocabulary));
    }
    batch.tokens += total;
    batch.micro_batches.push_back(std::move(micro));
  }
  batch.row_end = queries;
  for (int64_t q = 0; q < queries; ++q) {
    batch.positives.columns.push_back(q);
    batch.positives.offsets.push_back(q + 1);
    batch.ignored.offsets.push_back(0);
  }
  batch.total_weight = static_cast<double>(queries);
  return batch;
}

TrainerOptions TrainerOptionsOf(double dropout, uint64_t keep) {
  TrainerOptions options =
      PlainOptions(muster::v1::OBJECTIVE_JOINTLH, /*temperature=*/0.05, /*learning_rate=*/1e-5, dropout);
  options.keep_activations = keep;
  return options;
}

void StepOrExit(Trainer& trainer, const StepBatch& batch) {
  if (const auto report = trainer.Step(batch); !report.ok()) {
    std::fprintf(stderr, "%s\n", std::string(report.status().message()).c_str());
    std::exit(1);
  }
}

// In a fresh process: prints the peak in MiB, with and without the embeddings.
void MeasurePeak(const Options& options) {
  const auto encoder = Encoder::Random(ConfigOf(options), 1).value();
  const auto group = MakeSingleGroup();
  Trainer trainer(*encoder, *group, RealClock(), TrainerOptionsOf(0.1, 0));
  const StepBatch batch = RandomStep(options, options.child, options.length, options.micro_tokens);
  // The warm-up step has the smallest size: afterwards gradients, code and the libraries' own buffers are in memory.
  StepOrExit(trainer, RandomStep(options, 16, options.length, 64));
  ReturnIdleBlocks();
  BeginPeak();
  const double base = StatusMib("VmRSS");
  StepOrExit(trainer, batch);
  const double peak = StatusMib("VmHWM") - base;
  const double embeddings = 2.0 * 2 * options.child * options.hidden * sizeof(float) / kMiB;
  std::printf("%.2f %.2f %.2f\n", base, peak, embeddings);
}

nlohmann::json MeasureMemory(const Options& options, const std::string& self) {
  nlohmann::json rows;
  std::printf("Peak memory of a step with replay, micro-batches of %ld tokens, %ld x %ld, dropout 0.1, MiB:\n",
              options.micro_tokens, options.layers, options.hidden);
  std::printf("%8s %8s %8s %12s %8s %8s\n", "queries", "tokens", "base", "embeddings", "step", "change");
  double first = 0;
  for (const int64_t queries : options.queries) {
    const std::string command =
        absl::StrCat(self, " --child ", queries, " --micro-tokens ", options.micro_tokens, " --layers ", options.layers,
                     " --hidden ", options.hidden, " --length ", options.length, " --threads ", options.threads);
    FILE* child = popen(command.c_str(), "r");
    double base = 0, peak = 0, embeddings = 0;
    if (child == nullptr || std::fscanf(child, "%lf %lf %lf", &base, &peak, &embeddings) != 3 || pclose(child) != 0) {
      std::fprintf(stderr, "%s failed\n", command.c_str());
      std::exit(1);
    }
    const double own = peak - embeddings;
    if (first == 0) first = own;
    const int64_t tokens = RandomStep(options, queries, options.length, options.micro_tokens).tokens;
    std::printf("%8ld %8ld %8.1f %12.1f %8.1f %+7.1f%%\n", queries, tokens, base, embeddings, own,
                100 * (own / first - 1));
    std::fflush(stdout);
    rows.push_back({{"queries", queries}, {"tokens", tokens}, {"base_mib", base}, {"embeddings_mib", embeddings},
                    {"step_mib", own}, {"change", own / first - 1}});
  }
  return {{"micro_batch_tokens", options.micro_tokens}, {"layers", options.layers}, {"hidden", options.hidden},
          {"rows", rows}};
}

double Median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + values.size() / 2);
  return values[values.size() / 2];
}

double ProcessSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

nlohmann::json MeasureCost(const Options& options, double dropout) {
  const auto encoder = Encoder::Random(ConfigOf(options), 1).value();
  const auto group = MakeSingleGroup();
  const StepBatch batch = RandomStep(options, options.cost_queries, options.cost_length, options.cost_micro_tokens);
  uint64_t all = 0;
  for (const PackedBatch& micro : batch.micro_batches) {
    all += Encoder::GraphBytes(encoder->config(), micro, /*bfloat16=*/false);
  }
  const char* names[] = {"kept", "half", "replayed"};
  const uint64_t budgets[] = {all, all / 2, 0};
  std::vector<std::unique_ptr<Trainer>> trainers;
  for (const uint64_t budget : budgets) {
    trainers.push_back(std::make_unique<Trainer>(*encoder, *group, RealClock(), TrainerOptionsOf(dropout, budget)));
    StepOrExit(*trainers.back(), batch);
  }
  std::vector<double> wall[3], cpu[3];
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (int turn = 0; turn < 3; ++turn) {
      const int i = (turn + repeat) % 3;
      const absl::Duration start = RealClock().Monotonic();
      const double spent = ProcessSeconds();
      StepOrExit(*trainers[i], batch);
      cpu[i].push_back(ProcessSeconds() - spent);
      wall[i].push_back(absl::ToDoubleSeconds(RealClock().Monotonic() - start));
    }
  }
  nlohmann::json rows;
  for (int i = 0; i < 3; ++i) {
    const double ratio = Median(wall[i]) / Median(wall[0]), cpu_ratio = Median(cpu[i]) / Median(cpu[0]);
    std::printf("%8.1f %-9s %8.3f %8.3f %8.3f %8.3f\n", dropout, names[i], Median(wall[i]), ratio, Median(cpu[i]),
                cpu_ratio);
    rows.push_back({{"graphs", names[i]}, {"seconds", Median(wall[i])}, {"ratio", ratio},
                    {"cpu_seconds", Median(cpu[i])}, {"cpu_ratio", cpu_ratio}});
  }
  std::fflush(stdout);
  return {{"dropout", dropout}, {"tokens", batch.tokens}, {"micro_batches", batch.micro_batches.size()},
          {"rows", rows}};
}

nlohmann::json MeasureCosts(const Options& options) {
  std::printf("Step with %ld queries of %ld tokens, micro-batches of %ld tokens, median of %d, %d thread(s):\n",
              options.cost_queries, options.cost_length, options.cost_micro_tokens, options.repeats, options.threads);
  std::printf("%8s %-9s %8s %8s %8s %8s\n", "dropout", "graphs", "seconds", "ratio", "CPU s", "ratio");
  return {MeasureCost(options, 0.1), MeasureCost(options, 0)};
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Options options;
  CLI::App app("What a training step takes: memory with replay, and the cost of replay.", "muster-step-bench");
  app.add_option("--queries", options.queries, "numbers of queries, for memory")->delimiter(',');
  app.add_option("--micro-tokens", options.micro_tokens, "tokens of a micro-batch, for memory");
  app.add_option("--length", options.length, "mean tokens of a text, for memory");
  app.add_option("--cost-queries", options.cost_queries, "queries, for cost");
  app.add_option("--cost-micro-tokens", options.cost_micro_tokens, "tokens of a micro-batch, for cost");
  app.add_option("--cost-length", options.cost_length, "mean tokens of a text, for cost");
  app.add_option("--layers", options.layers, "of the encoder");
  app.add_option("--hidden", options.hidden, "of the encoder, a multiple of 12");
  app.add_option("--threads", options.threads, "CPU threads")->check(CLI::PositiveNumber);
  app.add_option("--repeats", options.repeats, "steps of each kind, for cost")->check(CLI::PositiveNumber);
  app.add_flag("!--no-memory", options.memory, "leave the memory out");
  app.add_flag("!--no-cost", options.cost, "leave the cost out");
  app.add_option("--child", options.child, "for its own use: one step of this many queries")->group("");
  app.add_option("--json", options.json, "the figures are written to this file too");
  CLI11_PARSE(app, argc, argv);
  muster::UseBlockAllocator();
  at::set_num_threads(options.threads);
  if (options.child > 0) {
    muster::MeasurePeak(options);
    return 0;
  }
  nlohmann::json result;
  if (options.memory) {
    result["memory"] = muster::MeasureMemory(options, std::filesystem::read_symlink("/proc/self/exe"));
  }
  if (options.cost) result["cost"] = muster::MeasureCosts(options);
  if (!options.json.empty()) std::ofstream(options.json) << result.dump(2) << "\n";
}
