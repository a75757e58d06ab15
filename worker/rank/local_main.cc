// muster-train-local: the training core without a cluster, on shares from files, so that it can be profiled on a bare
// machine. Links no gRPC.
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/delimited_message_util.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/process/leave.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "worker/rank/collective/in_process.h"
#include "worker/rank/cuda/load.h"
#include "worker/rank/model/block_allocator.h"
#include "worker/rank/train/model_spec.h"
#include "worker/rank/train/trace_recorder.h"
#include "worker/rank/train/trainer.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string spec, shares, model, out, profile;
  int64_t vocabulary = 30522;
  int threads = 1;
  bool float64 = false, gpu = false;
};

// Shares of one rank: StepShare messages, each with its length before it as a varint.
absl::StatusOr<std::vector<muster::internal::v1::StepShare>> ReadShares(const fs::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return absl::NotFoundError(absl::StrCat(file.string(), ": cannot be read"));
  google::protobuf::io::FileInputStream stream(descriptor);
  stream.SetCloseOnDelete(true);
  std::vector<muster::internal::v1::StepShare> shares;
  while (true) {
    bool ended = false;
    muster::internal::v1::StepShare share;
    if (!google::protobuf::util::ParseDelimitedFromZeroCopyStream(&share, &stream, &ended)) {
      if (ended) break;
      return absl::DataLossError(absl::StrCat(file.string(), ": share ", shares.size(), " cannot be parsed"));
    }
    shares.push_back(std::move(share));
  }
  if (shares.empty()) return absl::InvalidArgumentError(absl::StrCat(file.string(), ": holds no share"));
  return shares;
}

// A file: one rank. A folder: rank-0.shares, rank-1.shares, …
absl::StatusOr<std::vector<std::vector<muster::internal::v1::StepShare>>> ReadAllShares(const fs::path& path) {
  std::vector<std::vector<muster::internal::v1::StepShare>> all;
  if (!fs::is_directory(path)) {
    ASSIGN_OR_RETURN(all.emplace_back(), ReadShares(path));
    return all;
  }
  while (fs::exists(path / absl::StrCat("rank-", all.size(), ".shares"))) {
    const fs::path file = path / absl::StrCat("rank-", all.size(), ".shares");
    ASSIGN_OR_RETURN(all.emplace_back(), ReadShares(file));
  }
  if (all.empty()) return absl::NotFoundError(absl::StrCat(path.string(), ": holds no rank-0.shares"));
  return all;
}

absl::Status TrainRank(const Options& options, const muster::v1::JobSpec& spec,
                       const std::vector<muster::internal::v1::StepShare>& shares, Group& group) {
  at::set_num_threads(options.threads);
  const at::Device device = options.gpu ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  ASSIGN_OR_RETURN(const auto encoder, EncoderFromSpec(spec, options.model, options.vocabulary, device,
                                                       options.float64 ? at::kDouble : at::kFloat));
  RETURN_IF_ERROR(CheckMatryoshka(spec.loss(), static_cast<uint32_t>(encoder->config().EmbeddingSize())));
  if (!spec.stages().empty()) {
    return absl::InvalidArgumentError("stages: the batches of a file have none. Give duration and optimizer of one stage.");
  }
  ASSIGN_OR_RETURN(const TrainerOptions trainer_options, TrainerOptionsFrom(spec, encoder->config(), shares.size()));
  Trainer trainer(*encoder, group, RealClock(), trainer_options);
  const bool traces = group.rank() == 0 && !options.profile.empty();
  TraceRecorder trace({.skip = std::min<uint64_t>(2, shares.size() - 1),
                       .steps = traces ? shares.size() : 0,
                       .file = options.profile,
                       .gpu = options.gpu});
  for (const muster::internal::v1::StepShare& share : shares) {
    trace.BeforeStep();
    const absl::Duration start = RealClock().Monotonic();
    ASSIGN_OR_RETURN(const StepBatch batch, BatchFromShare(share, encoder->config(), device));
    ASSIGN_OR_RETURN(const StepReport report, trainer.Step(batch));
    RETURN_IF_ERROR(trace.AfterStep(&share == &shares.back()).status());
    if (group.rank() != 0) continue;
    const double seconds = absl::ToDoubleSeconds(RealClock().Monotonic() - start);
    std::printf("step %lu loss %.6f norm %.4f rate %.3g positive %.4f negative %.4f entropy %.3f tokens/s %.0f |",
                static_cast<unsigned long>(report.step), report.loss, report.gradient_norm, report.learning_rate,
                report.mean_positive, report.mean_negative, report.positive_entropy, report.tokens / seconds);
    for (const auto& [phase, spent] : report.seconds) std::printf(" %s %.3f s", PhaseName(phase), spent);
    std::printf("\n");
    std::fflush(stdout);
  }
  if (group.rank() != 0 || options.out.empty()) return absl::OkStatus();
  return WriteSafetensors(options.out, encoder->fixed().empty() ? encoder->parameters() : encoder->Merged()->parameters());
}

absl::Status TrainLocally(const Options& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options.spec));
  muster::v1::JobSpec spec;
  if (!google::protobuf::TextFormat::ParseFromString(text, &spec)) {
    return absl::InvalidArgumentError(absl::StrCat(options.spec, ": is not a JobSpec in protobuf text format"));
  }
  spec.mutable_resources()->set_device(options.gpu ? muster::v1::DEVICE_GPU : muster::v1::DEVICE_CPU);
  FillDefaults(spec);
  ASSIGN_OR_RETURN(const auto shares, ReadAllShares(options.shares));
  for (const auto& own : shares) {
    if (own.size() != shares[0].size()) {
      return absl::InvalidArgumentError(absl::StrCat(options.shares, ": ranks hold different numbers of steps"));
    }
  }
  if (options.gpu) {
    if (shares.size() != 1) return absl::InvalidArgumentError("--gpu takes the shares of one rank");
    RETURN_IF_ERROR(LoadCuda().status());
    return TrainRank(options, spec, shares[0], *MakeSingleGroup());
  }
  absl::Status first;
  for (const absl::Status& status :
       RunInProcessRanks(shares.size(), [&](Group& group) { return TrainRank(options, spec, shares[group.rank()], group); })) {
    // If one rank fails, the others' collectives fail as a result, so its own error is the one to print.
    if (first.ok() || (absl::IsUnavailable(first) && !status.ok())) first = status;
  }
  return first;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Options options;
  CLI::App app("Trains on shares from files, without a cluster.", "muster-train-local");
  app.add_option("--spec", options.spec, "JobSpec as protobuf text")->required();
  app.add_option("--shares", options.shares, "StepShare messages with their lengths: a file, or a folder of rank-N.shares")
      ->required();
  app.add_option("--model", options.model, "model folder; without it the specification names a preset");
  app.add_option("--vocabulary", options.vocabulary, "entries of the vocabulary, for a preset")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "CPU threads per rank")->check(CLI::PositiveNumber);
  app.add_flag("--float64", options.float64, "everything in double precision, to check arithmetic");
  app.add_flag("--gpu", options.gpu, "train on the first GPU, with one rank");
  app.add_option("--profile", options.profile,
                 "a trace of the steps of rank 0, from the third on, is written to this file, for Perfetto");
  app.add_option("--out", options.out, "trained weights are written to this .safetensors file");
  if (const std::optional<int> code = muster::ParseFlags(app, argc, argv)) return *code;
  muster::UseBlockAllocator();
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);  // MKL rounds the same way in every run
  const absl::Status status = muster::TrainLocally(options);
  if (!status.ok()) std::fprintf(stderr, "muster-train-local: %s\n", std::string(status.message()).c_str());
  muster::Leave(status.ok() ? muster::kExitSucceeded : muster::ExitCodeFor(status));
}
