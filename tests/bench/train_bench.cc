// muster-train-bench: trains on given batches, one step per command, so that training.py can let it and another trainer
// take turns. One rank; the step is that of a job: shares that the planner cuts, and a job's defaults.
//
// --steps FILE  JSON: {"batches": [{"queries": [[id, …], …], "passages": […], "positives": [[column, …], …]}]}
//
// Commands, one per line of standard input; each answers with one line of JSON:
//   step B      one update on batch B: seconds, tokens, phases, loss
//   evaluate B  encodes and ranks batch B as an evaluation does: seconds, tokens, ndcg@10
//   products    what this machine's matrix products alone reach at the encoder's own shapes: GFLOP/s
//   quit
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <google/protobuf/text_format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "tests/bench/batch_shares.h"
#include "worker/rank/evaluate/evaluator.h"
#include "worker/rank/model/block_allocator.h"
#include "worker/rank/train/model_spec.h"
#include "worker/rank/train/trainer.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;
using nlohmann::json;

struct Options {
  std::string model, steps, spec;
  int threads = 2;
  uint64_t cpu_tokens = EvaluatorOptions().cpu_tokens;
};

TokenBatch BatchOf(const json& batch) {
  using Texts = std::vector<std::vector<uint32_t>>;
  return {batch.at("queries").get<Texts>(), batch.at("passages").get<Texts>(), batch.at("positives").get<Texts>()};
}

double Seconds(absl::Duration start) { return absl::ToDoubleSeconds(RealClock().Monotonic() - start); }

// The linear maps of the encoder: [out, in].
std::vector<std::pair<int64_t, int64_t>> LinearMaps(const Encoder& encoder) {
  std::vector<std::pair<int64_t, int64_t>> maps;
  for (const Parameter& parameter : encoder.parameters()) {
    if (parameter.value.dim() != 2 || absl::StrContains(parameter.name, "embedding")) continue;
    maps.emplace_back(parameter.value.size(0), parameter.value.size(1));
  }
  return maps;
}

// Operations of a step: 6 per parameter and token, and 12 h L² per layer and sequence for attention.
double StepFlops(const Encoder& encoder, const StepShare& share) {
  double parameters = 0, tokens = 0, squares = 0;
  for (const auto& [out, in] : LinearMaps(encoder)) parameters += static_cast<double>(out * in);
  for (const auto& micro : share.micro_batches()) {
    for (const double length : micro.lengths()) {
      tokens += length;
      squares += length * length;
    }
  }
  const EncoderConfig& config = encoder.config();
  return 6 * parameters * tokens + 12 * static_cast<double>(config.hidden_size * config.layers) * squares;
}

// GFLOP/s of a map's three products (forward, gradient of the input, gradient of the weight) of `tokens` rows, for each
// distinct map, weighted by how often the encoder has it. Nothing is allocated while the clock runs.
double ProductRate(const Encoder& encoder, int64_t tokens) {
  std::map<std::pair<int64_t, int64_t>, int> maps;
  for (const auto& map : LinearMaps(encoder)) ++maps[map];
  double flops = 0, seconds = 0;
  for (const auto& [map, count] : maps) {
    const auto [out, in] = map;
    const at::Tensor weight = at::randn({out, in}), x = at::randn({tokens, in}), y = at::randn({tokens, out});
    at::Tensor forward = at::empty({tokens, out}), backward = at::empty({tokens, in}), gradient = at::empty({out, in});
    const auto all = [&] {
      at::mm_out(forward, x, weight.t());
      at::mm_out(backward, y, weight);
      at::mm_out(gradient, y.t(), x);
    };
    all();
    std::vector<double> times;
    for (int i = 0; i < 3; ++i) {
      const absl::Duration start = RealClock().Monotonic();
      all();
      times.push_back(Seconds(start));
    }
    std::ranges::sort(times);
    seconds += count * times[1];
    flops += count * 6.0 * static_cast<double>(tokens * out * in);
  }
  return flops / seconds / 1e9;
}

json MeasureProducts(const Encoder& encoder) {
  json rates;
  double best = 0;
  for (const int64_t tokens : {512, 1024, 2048, 4096}) {
    const double rate = ProductRate(encoder, tokens);
    rates[absl::StrCat(tokens)] = rate;
    best = std::max(best, rate);
  }
  return {{"gflops", best}, {"by_tokens", rates}};
}

class Bench {
 public:
  static absl::StatusOr<std::unique_ptr<Bench>> Make(const Options& options) {
    auto bench = std::make_unique<Bench>();
    bench->cpu_tokens_ = options.cpu_tokens;
    muster::v1::JobSpec spec;
    if (!google::protobuf::TextFormat::ParseFromString(options.spec, &spec)) {
      return absl::InvalidArgumentError("--spec is not a JobSpec in protobuf text format");
    }
    FillDefaults(spec);
    std::ifstream file(options.steps);
    const json steps = json::parse(file, nullptr, /*allow_exceptions=*/false);
    if (steps.is_discarded()) return absl::InvalidArgumentError(absl::StrCat(options.steps, ": is not JSON"));
    for (const json& batch : steps.at("batches")) {
      bench->shares_.push_back(SharesOf(BatchOf(batch), 1, spec.batch().micro_batch_tokens()).front());
    }
    ASSIGN_OR_RETURN(bench->encoder_, EncoderFromSpec(spec, options.model, /*vocabulary_size=*/30522));
    ASSIGN_OR_RETURN(const TrainerOptions trainer_options, TrainerOptionsFrom(spec, bench->encoder_->config(), 1000));
    bench->trainer_ = std::make_unique<Trainer>(*bench->encoder_, *bench->group_, RealClock(), trainer_options);
    return bench;
  }

  absl::StatusOr<json> Step(size_t index) {
    if (index >= shares_.size()) return absl::InvalidArgumentError(absl::StrCat("there is no batch ", index));
    StepShare& share = shares_[index];
    share.set_step(step_++);
    const absl::Duration start = RealClock().Monotonic();
    ASSIGN_OR_RETURN(const StepBatch batch, BatchFromShare(share, encoder_->config(), at::kCPU));
    ASSIGN_OR_RETURN(const StepReport report, trainer_->Step(batch));
    const double seconds = Seconds(start);
    json phases = json::object();
    for (const auto& [phase, spent] : report.seconds) phases[PhaseName(phase)] = spent;
    return json{{"seconds", seconds}, {"tokens", report.tokens}, {"loss", report.loss}, {"phases", phases},
                {"flops", StepFlops(*encoder_, share)}};
  }

  // Each query is judged by its positives among the batch's own passages.
  absl::StatusOr<json> Evaluate(size_t index) {
    if (index >= shares_.size()) return absl::InvalidArgumentError(absl::StrCat("there is no batch ", index));
    const StepShare& share = shares_[index];
    EvaluationSource source;
    muster::internal::v1::EvaluationHeader& header = source.header;
    header.set_query_count(share.query_count());
    header.set_document_count(share.passage_count());
    header.set_own_sequences(share.query_count() + share.passage_count());
    header.set_own_queries(share.query_count());
    *header.mutable_judged_offsets() = share.positive_offsets();
    *header.mutable_judged_documents() = share.positives();
    for (int i = 0; i < share.positives_size(); ++i) header.add_judged_grades(1);
    int next = 0;
    source.next = [&](muster::internal::v1::MicroBatch* micro) -> absl::StatusOr<bool> {
      if (next == share.micro_batches_size()) return false;
      *micro = share.micro_batches(next++);
      return true;
    };
    const absl::Duration start = RealClock().Monotonic();
    ASSIGN_OR_RETURN(const auto evaluation,
                     muster::Evaluate(*encoder_, *group_, std::move(source),
                                      {.metrics = {"ndcg@10"}, .cpu_tokens = cpu_tokens_}));
    const double seconds = Seconds(start);
    int64_t tokens = 0;
    for (const auto& micro : share.micro_batches()) {
      for (const uint32_t length : micro.lengths()) tokens += length;
    }
    return json{{"seconds", seconds}, {"tokens", tokens}, {"texts", share.query_count() + share.passage_count()},
                {"ndcg@10", evaluation.metrics().at("ndcg@10")}};
  }

  json Products() const { return MeasureProducts(*encoder_); }

 private:
  std::vector<StepShare> shares_;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<Group> group_ = MakeSingleGroup();
  std::unique_ptr<Trainer> trainer_;
  uint64_t step_ = 0, cpu_tokens_ = 0;
};

absl::Status Serve(const Options& options) {
  ASSIGN_OR_RETURN(const auto bench, Bench::Make(options));
  std::printf("{\"ready\": true}\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::istringstream words(line);
    std::string command;
    size_t index = 0;
    words >> command >> index;
    json answer;
    if (command == "step") {
      ASSIGN_OR_RETURN(answer, bench->Step(index));
    } else if (command == "evaluate") {
      ASSIGN_OR_RETURN(answer, bench->Evaluate(index));
    } else if (command == "products") {
      const at::NoGradGuard no_gradient;
      answer = bench->Products();
    } else {
      return absl::InvalidArgumentError(absl::StrCat("\"", line, "\" is not a command"));
    }
    std::printf("%s\n", answer.dump().c_str());
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Options options;
  CLI::App app("Trains on given batches, one step per command on standard input.", "muster-train-bench");
  app.add_option("--model", options.model, "model folder")->required();
  app.add_option("--steps", options.steps, "JSON file of batches")->required();
  app.add_option("--spec", options.spec, "JobSpec as protobuf text")->required();
  app.add_option("--threads", options.threads, "CPU threads")->check(CLI::PositiveNumber);
  app.add_option("--cpu-tokens", options.cpu_tokens, "tokens that an evaluation encodes at once")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  muster::UseBlockAllocator();
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);  // the same as in muster-rank
  at::set_num_threads(options.threads);
  const absl::Status status = muster::Serve(options);
  if (status.ok()) return muster::kExitSucceeded;
  std::fprintf(stderr, "muster-train-bench: %s\n", std::string(status.message()).c_str());
  return muster::ExitCodeFor(status);
}
