// muster-plan-bench [QUERIES_PER_STEP [RANKS]]: microseconds per query for planning a step and making its shares, on
// one core, for queries with 4 positives and 4 hard negatives out of 200,000 passages of 4 to 120 words; also with label noise.
#include <charconv>
#include <cstdio>
#include <cstring>

#include "common/clock.h"
#include "common/exit_code.h"
#include "common/status.h"
#include "coordinator/data/plan/plan_test_data.h"
#include "coordinator/data/plan/step_plan.h"

namespace muster {
namespace {

void Print(const char* what, absl::Duration took, uint32_t queries) {
  std::printf("%-38s %8.2f ms  %6.2f us per query\n", what, absl::ToDoubleMilliseconds(took),
              absl::ToDoubleMicroseconds(took) / queries);
}

std::shared_ptr<FakeDataset> BenchDataset(uint32_t queries) {
  constexpr uint32_t kPassages = 200'000;
  auto dataset = std::make_shared<FakeDataset>();
  CounterRandom random(17);
  for (uint32_t i = 0; i < kPassages; ++i) {
    dataset->DocumentOfPassage("", dataset->NewPassage(RandomText(random, 4 + random.Below(117))));
  }
  for (uint32_t query = 0; query < queries; ++query) {
    dataset->Query(RandomText(random, 4 + random.Below(20)));
    for (int i = 0; i < 4; ++i) {
      dataset->Judge(query, static_cast<uint32_t>(random.Below(kPassages)));
      dataset->HardNegative(query, static_cast<uint32_t>(random.Below(kPassages)));
    }
  }
  return dataset;
}

absl::Status Measure(uint32_t queries, uint32_t world_size) {
  const auto dataset = BenchDataset(std::max(queries, 100'000u));
  const auto tokens = TestTokens(*dataset);
  muster::v1::JobSpec spec = TestJob(queries);
  spec.mutable_model()->mutable_max_length()->set_query(64);
  spec.mutable_model()->mutable_max_length()->set_passage(256);
  spec.mutable_data()->mutable_positives()->set_per_query(4);
  spec.mutable_data()->mutable_negatives()->set_per_query(4);
  spec.mutable_batch()->set_micro_batch_tokens(16384);
  TrainingInputs inputs = TestInputs(*dataset, spec);
  ASSIGN_OR_RETURN(const auto source, ShareSource::Create({{dataset}, {tokens}, spec, Resolve(*dataset, spec)}));

  const absl::Duration start = RealClock().Monotonic();
  const StepPlan plan = PlanStep(inputs, 0);
  const absl::Duration planned = RealClock().Monotonic();
  ASSIGN_OR_RETURN(muster::internal::v1::StepShare share, source->Share(0, 0, world_size));
  const absl::Duration first = RealClock().Monotonic();
  size_t bytes = 0;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    ASSIGN_OR_RETURN(share, source->Share(0, rank, world_size));
    bytes += share.SerializeAsString().size();
  }
  const absl::Duration shared = RealClock().Monotonic();
  std::printf("%zu queries, %zu unique passages, %u ranks\n", plan.queries.size(), plan.passages.size(), world_size);
  Print("plan alone", planned - start, queries);
  muster::v1::NoiseSpec& noise = *spec.mutable_data()->mutable_noise();
  noise.set_random_passages(0.25);
  noise.set_hard_negatives(0.25);
  noise.set_blurred_grades(0.1);
  const absl::Duration before_noise = RealClock().Monotonic();
  inputs.sets[0].rules.noise = LabelNoise::Make(*dataset, spec.data());
  const absl::Duration made = RealClock().Monotonic();
  const StepPlan noisy = PlanStep(inputs, 0);
  Print("plan with label noise", RealClock().Monotonic() - made, queries);
  Print("label noise, once per job", made - before_noise, dataset->queries());
  std::printf("%zu of %zu positives are injected\n", noisy.noise_positives.size(), noisy.positives.size());
  Print("plan, assign, first rank's share", first - planned, queries);
  Print("all ranks' shares of a planned step", shared - first, queries);
  std::printf("%.1f MB of shares, made and serialized at %.0f MB/s\n", static_cast<double>(bytes) / 1e6,
              static_cast<double>(bytes) / 1e6 / absl::ToDoubleSeconds(shared - first));
  return absl::OkStatus();
}

bool ReadNumber(const char* text, uint32_t& number) {
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, number);
  return error == std::errc() && at == end && number > 0;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  uint32_t queries = 1024, ranks = 8;
  if (argc > 3 || (argc > 1 && !muster::ReadNumber(argv[1], queries)) ||
      (argc > 2 && !muster::ReadNumber(argv[2], ranks))) {
    std::fprintf(stderr, "usage: muster-plan-bench [QUERIES_PER_STEP [RANKS]]\n");
    return muster::kExitUsage;
  }
  if (const absl::Status status = muster::Measure(queries, ranks); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return muster::ExitCodeFor(status);
  }
  return muster::kExitSucceeded;
}
