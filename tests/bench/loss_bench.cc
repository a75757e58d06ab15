// Time and memory of the streaming loss next to the form that holds the whole score matrix. For the time, the forms
// take turns in one process; for the memory, each runs in a fresh process.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/exit_code.h"
#include "tests/bench/loss_problem.h"
#include "tests/bench/process_memory.h"

namespace muster {
namespace {

constexpr double kGradientLimit = 1e-5;  // max|x - y| / max|y| of the two forms

struct Options {
  LossProblemSize size;
  int threads = 2, repeats = 5;
  int64_t tile_rows = CpuTileOps().Plan().rows, tile_columns = CpuTileOps().Plan().columns;
  int64_t kept_mib = CpuTileOps().Plan().kept_bytes >> 20;
  uint64_t seed = 1;
  bool streaming_only = false, serve = false;
  std::string objective = "jointlh", json, child;
};

LossInput Problem(const Options& options, const LossProblemSize& size) {
  muster::v1::Objective objective = muster::v1::OBJECTIVE_JOINTLH;
  muster::v1::Objective_Parse("OBJECTIVE_" + absl::AsciiStrToUpper(options.objective), &objective);
  LossInput input = MakeLossProblem(size, objective, options.seed);
  input.tile_rows = options.tile_rows;
  input.tile_columns = options.tile_columns;
  input.kept_bytes = options.kept_mib << 20;
  return input;
}

void Evaluate(const std::string& form, const LossInput& input) {
  if (form == "streaming") {
    EvaluateLoss(input);
  } else {
    EvaluateWholeMatrix(input);
  }
}

// Peak in addition to inputs and outputs. A small batch first loads code and threads, which do not depend on the batch
// size.
int RunChild(const Options& options) {
  LossProblemSize small = options.size;
  small.rows = small.columns = 64;
  Evaluate(options.child, Problem(options, small));
  const LossInput input = Problem(options, options.size);
  const double outputs = 4.0 * static_cast<double>(input.queries.numel() + input.passages.numel()) / (1 << 20);
  const double before = StatusMib("VmRSS") + outputs;
  Evaluate(options.child, input);
  std::printf("%.1f\n", StatusMib("VmHWM") - before);
  return kExitSucceeded;
}

double MemoryOf(const std::string& form, const Options& o) {
  const std::string command = absl::StrFormat(
      "'%s' --child %s --threads %d --rows %d --columns %d --dim %d --positives %d --ignored %d --tile-rows %d "
      "--tile-columns %d --kept-mib %d --seed %d --objective %s",
      std::filesystem::read_symlink("/proc/self/exe").string(), form, o.threads, o.size.rows, o.size.columns,
      o.size.dim, o.size.positives, o.size.ignored, o.tile_rows, o.tile_columns, o.kept_mib, o.seed, o.objective);
  std::FILE* child = popen(command.c_str(), "r");
  double mib = -1;
  const bool read = child != nullptr && std::fscanf(child, "%lf", &mib) == 1;
  if (child == nullptr || pclose(child) != 0 || !read) {
    std::fprintf(stderr, "muster-loss-bench: the process that measures the %s form failed: %s\n", form.c_str(),
                 command.c_str());
    std::exit(kExitJobFailed);
  }
  return mib;
}

template <typename Work>
double SecondsOf(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double Difference(const at::Tensor& x, const at::Tensor& y) {
  return ((x - y).abs().max() / y.abs().max()).item<double>();
}

// Evaluates once per line of standard input and answers with the seconds: loss_peer.py takes turns with it.
int Serve(const Options& options) {
  const LossInput input = Problem(options, options.size);
  EvaluateLoss(input);
  while (std::getchar() == '\n') {
    std::printf("%.6f\n", SecondsOf([&] { EvaluateLoss(input); }));
    std::fflush(stdout);
  }
  return kExitSucceeded;
}

nlohmann::json Form(const char* name, const std::vector<double>& seconds, double mib) {
  std::printf("%-14s %10.3f %10.3f %10.3f %12.1f\n", name, Median(seconds), std::ranges::min(seconds),
              std::ranges::max(seconds), mib);
  return {{"seconds", seconds}, {"seconds_median", Median(seconds)}, {"scratch_mib", mib}};
}

int Run(const Options& options) {
  // Memory is measured first, while this process has no batch yet.
  const double streaming_mib = MemoryOf("streaming", options);
  const double whole_mib = options.streaming_only ? 0 : MemoryOf("whole", options);

  const LossInput input = Problem(options, options.size);
  std::vector<double> streaming_seconds, whole_seconds;
  double difference = 0;
  for (int turn = 0; turn < options.repeats; ++turn) {
    LossResult streaming;
    WholeMatrixLoss whole;
    streaming_seconds.push_back(SecondsOf([&] { streaming = EvaluateLoss(input); }));
    if (options.streaming_only) continue;
    whole_seconds.push_back(SecondsOf([&] { whole = EvaluateWholeMatrix(input); }));
    if (turn > 0) continue;
    difference = std::max({Difference(streaming.d_queries, whole.d_queries),
                           Difference(streaming.d_passages, whole.d_passages),
                           std::abs(streaming.loss_sum - whole.loss) / std::abs(whole.loss)});
  }

  nlohmann::json report = {{"threads", options.threads},        {"rows", options.size.rows},
                           {"columns", options.size.columns},   {"dim", options.size.dim},
                           {"positives", options.size.positives}, {"ignored", options.size.ignored},
                           {"objective", options.objective},    {"tile_rows", options.tile_rows},
                           {"tile_columns", options.tile_columns}, {"kept_mib", options.kept_mib},
                           {"seed", options.seed}};
  std::printf("%d x %d x %d, %d positives and %d ignored per row, %s, %d threads\n", static_cast<int>(options.size.rows),
              static_cast<int>(options.size.columns), static_cast<int>(options.size.dim),
              static_cast<int>(options.size.positives), static_cast<int>(options.size.ignored),
              options.objective.c_str(), options.threads);
  std::printf("%-14s %10s %10s %10s %12s\n", "form", "median s", "least s", "most s", "scratch MiB");
  report["streaming"] = Form("streaming", streaming_seconds, streaming_mib);
  if (!options.streaming_only) {
    report["whole_matrix"] = Form("whole matrix", whole_seconds, whole_mib);
    report["time_ratio"] = Median(streaming_seconds) / Median(whole_seconds);
    report["largest_difference"] = difference;
    std::printf("time ratio %.3f, largest difference of loss and gradients %.1e\n",
                report["time_ratio"].get<double>(), difference);
  }
  if (!options.json.empty()) std::ofstream(options.json) << report.dump(2) << "\n";
  if (difference > kGradientLimit) {
    std::fprintf(stderr, "muster-loss-bench: the forms disagree: %.1e > %.0e\n", difference, kGradientLimit);
    return kExitJobFailed;
  }
  return kExitSucceeded;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Options options;
  CLI::App app("Compares the streaming loss with the whole-matrix form.", "muster-loss-bench");
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--rows", options.size.rows)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--columns", options.size.columns)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--dim", options.size.dim)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--positives", options.size.positives, "a row")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--ignored", options.size.ignored, "a row")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--objective", options.objective)
      ->check(CLI::IsMember({"rand1lh", "jointlh", "jointlh_sum", "summarglh", "lsepair", "mean1lh"}))
      ->capture_default_str();
  app.add_option("--repeats", options.repeats, "turns of each form")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--tile-rows", options.tile_rows)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--tile-columns", options.tile_columns)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--kept-mib", options.kept_mib, "tiles kept from forward to backward")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_flag("--streaming-only", options.streaming_only, "leave the whole-matrix form out");
  app.add_flag("--serve", options.serve, "evaluate once per line of standard input, and print the seconds");
  app.add_option("--json", options.json, "write the figures here too");
  app.add_option("--child", options.child, "print the peak memory of one form, and end")
      ->check(CLI::IsMember({"streaming", "whole"}));
  CLI11_PARSE(app, argc, argv);
  if (options.size.positives + options.size.ignored > options.size.columns) {
    std::fprintf(stderr, "muster-loss-bench: a row cannot name more columns than there are\n");
    return muster::kExitUsage;
  }
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);  // as muster-rank sets it before its first product
  at::set_num_threads(options.threads);
  if (options.serve) return muster::Serve(options);
  return options.child.empty() ? muster::Run(options) : muster::RunChild(options);
}
