// muster-checkpoint-bench: for how long a checkpoint stops training, and how long storing it takes. Random weights of a
// model's shape; a real data server on loopback, in this process, with its store below --folder.
//
// synchronous   what stops training where all is done before the next step: SHA-256 of the parameters, for the
//               comparison of the ranks, and the files, written and flushed. (Putting them is on a thread in any case.)
// stop          what stops it here: the quick digest of the parameters, and the copy of the training state.
// stored        from the beginning until the checkpoint is stored: files written, put, flushed by the server.
// copy          how much of this host's memory the copy takes, once, on rank 0.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/blobs.h"
#include "common/rpc/security.h"
#include "coordinator/data/service/data_server.h"
#include "tests/bench/process_memory.h"
#include "worker/rank/link/checkpoints.h"
#include "worker/rank/model/block_allocator.h"

namespace muster {
namespace {

constexpr double kMiB = 1 << 20;

struct Options {
  std::filesystem::path folder = ".";
  std::vector<std::string> models = {"minilm", "bert-base"};
  int threads = 2, repeats = 5;
  std::string json;
};

EncoderConfig ConfigOf(const std::string& model) {
  EncoderConfig config;
  const bool base = model == "bert-base";
  config.vocabulary_size = 30522;
  config.hidden_size = base ? 768 : 384;
  config.layers = base ? 12 : 6;
  config.heads = 12;
  config.intermediate_size = 4 * config.hidden_size;
  config.max_positions = 512;
  return config;
}

double Median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + values.size() / 2);
  return values[values.size() / 2];
}

double Since(absl::Duration start) { return absl::ToDoubleSeconds(RealClock().Monotonic() - start); }

void OrExit(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  std::exit(1);
}

// As after a real step, this checkpoint shares no blob with the previous one.
void ChangeAll(Encoder& encoder, AdamW& optimizer) {
  const at::NoGradGuard no_gradient;
  for (Parameter& parameter : encoder.parameters()) parameter.value.detach().add_(1e-3);
  for (const Parameter& moment : optimizer.State()) moment.value.add_(1);
}

double Synchronous(const std::filesystem::path& folder, const Encoder& encoder, const AdamW& optimizer) {
  const absl::Duration start = RealClock().Monotonic();
  Sha256 sha;
  for (const Parameter& parameter : encoder.parameters()) {
    sha.Update({static_cast<const char*>(parameter.value.const_data_ptr()), parameter.value.nbytes()});
  }
  sha.FinishHex();
  OrExit(MakeFolders(folder));
  OrExit(WriteSafetensors(folder / "model.safetensors", encoder.parameters()));
  OrExit(WriteSafetensors(folder / "optimizer.safetensors", optimizer.State()));
  const double seconds = Since(start);
  std::filesystem::remove_all(folder);
  return seconds;
}

nlohmann::json Measure(const std::string& model, const Options& options, const std::filesystem::path& scratch,
                       BlobClient& blobs) {
  const auto encoder = Encoder::Random(ConfigOf(model), 1).value();
  AdamW optimizer(encoder->parameters(), {});
  StepLog steps(scratch / "steps.csv");
  OrExit(steps.Clear());
  const TrainingCursor cursor{.step = 1};
  int64_t parameters = 0;
  for (const Parameter& parameter : encoder->parameters()) parameters += parameter.value.numel();
  ChangeAll(*encoder, optimizer);  // touches the moments' memory, as a step does
  CheckpointWriter writer(blobs, {.scratch = scratch, .stored = [](const auto&) {}});
  std::vector<double> synchronous, stop, stored;
  double first_stop = 0;
  const double before = StatusMib("VmRSS");
  writer.Prepare(*encoder, optimizer);
  OrExit(writer.Wait());
  const double copy = StatusMib("VmRSS") - before;
  for (int repeat = 0; repeat <= options.repeats; ++repeat) {
    ChangeAll(*encoder, optimizer);
    synchronous.push_back(Synchronous(scratch / "synchronous", *encoder, optimizer));
    const absl::Duration start = RealClock().Monotonic();
    (void)ParameterDigest(encoder->parameters());
    writer.Start({.encoder = *encoder, .optimizer = optimizer, .cursor = cursor, .best = {}, .steps = steps}, start);
    const double stopped = Since(start);
    OrExit(writer.Wait());
    if (repeat == 0) {
      first_stop = stopped;
      continue;
    }
    stop.push_back(stopped);
    stored.push_back(Since(start));
  }
  const double share = Median(stop) / Median(stored);
  std::printf("%-10s %11ld %9.0f %12.3f %7.3f %7.3f %8.2f %6.1f%% %8.0f\n", model.c_str(), parameters,
              12.0 * static_cast<double>(parameters) / kMiB, Median(synchronous), first_stop, Median(stop),
              Median(stored), 100 * share, copy);
  std::fflush(stdout);
  return {{"model", model},           {"parameters", parameters},   {"synchronous_seconds", Median(synchronous)},
          {"first_stop", first_stop}, {"stop_seconds", Median(stop)}, {"stored_seconds", Median(stored)},
          {"share", share},           {"copy_mib", copy}};
}

int Run(const Options& options) {
  spdlog::set_level(spdlog::level::warn);
  const std::filesystem::path folder = MakeScratchFolder(options.folder, "checkpoint-bench").value();
  DataServer::Options server_options;
  server_options.listen = "127.0.0.1:0";
  server_options.metrics = "";
  server_options.state = folder / "state";
  server_options.security.insecure = true;
  server_options.limits.calls_per_second = 0;
  auto server = DataServer::Start(server_options);
  OrExit(server.status());
  BlobClient blobs(MakeChannel(absl::StrCat("127.0.0.1:", (*server)->port()), {.insecure = true}).value());
  std::printf("Seconds per checkpoint, median of %d (the first apart), %d thread(s), float32:\n", options.repeats,
              options.threads);
  std::printf("%-10s %11s %9s %12s %7s %7s %8s %7s %8s\n", "model", "parameters", "MiB", "synchronous", "first", "stop",
              "stored", "share", "copy MiB");
  nlohmann::json rows;
  for (const std::string& model : options.models) rows.push_back(Measure(model, options, folder, blobs));
  server->reset();
  std::filesystem::remove_all(folder);
  if (!options.json.empty()) std::ofstream(options.json) << rows.dump(2) << "\n";
  return 0;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Options options;
  CLI::App app("For how long a checkpoint stops training, and how long storing it takes.", "muster-checkpoint-bench");
  app.add_option("--folder", options.folder, "where checkpoints and the store are written: on a disk, not in memory");
  app.add_option("--models", options.models, "minilm, bert-base")->delimiter(',');
  app.add_option("--threads", options.threads, "CPU threads")->check(CLI::PositiveNumber);
  app.add_option("--repeats", options.repeats, "checkpoints after the first")->check(CLI::PositiveNumber);
  app.add_option("--json", options.json, "the figures are written to this file too");
  CLI11_PARSE(app, argc, argv);
  muster::UseBlockAllocator();
  at::set_num_threads(options.threads);
  return muster::Run(options);
}
