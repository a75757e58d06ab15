// muster-loss-cases: compares the production kernels with a file of reference cases.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "common/exit_code.h"
#include "worker/rank/loss/loss_cases.h"

int main(int argc, char** argv) {
  muster::LossCaseOptions options;
  std::string file;
  CLI::App app("Compares the objectives' kernels with reference cases.", "muster-loss-cases");
  app.add_option("--world-size", options.world_size, "ranks in this process that the batch is split over")
      ->check(CLI::Range(1, 64));
  app.add_option("--tile-rows", options.tile_rows, "rows of a tile")->check(CLI::Range(1, 1 << 20));
  app.add_option("--tile-columns", options.tile_columns, "columns of a tile")->check(CLI::Range(1, 1 << 20));
  app.add_option("FILE", file, "cases as JSON")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? muster::kExitSucceeded : muster::kExitUsage;
  }
  const auto outcomes = muster::RunLossCases(file, options);
  if (!outcomes.ok()) {
    std::fprintf(stderr, "muster-loss-cases: %s\n", std::string(outcomes.status().message()).c_str());
    return muster::kExitUsage;
  }
  size_t failed = 0;
  for (const auto& outcome : *outcomes) {
    std::printf("%-6s %-40s %.2e%s\n", outcome.passed ? "ok" : "FAILED", outcome.name.c_str(), outcome.difference,
                outcome.valid_rows_agree ? "" : ", another number of valid rows");
    failed += !outcome.passed;
  }
  std::printf("%zu cases, %zu failed\n", outcomes->size(), failed);
  return failed == 0 ? muster::kExitSucceeded : muster::kExitJobFailed;
}
