// muster-plan-bench [QUERIES_A_STEP [RANKS]]: microseconds a query that planning a step and making its shares take, on
// one core, for queries with 4 positives and 4 hard negatives out of a million passages.
#include <charconv>
#include <cstdio>
#include <cstring>

#include "common/clock.h"
#include "common/exit_code.h"
#include "coordinator/data/plan/deal.h"
#include "coordinator/data/plan/plan_test_data.h"
#include "coordinator/data/plan/step_plan.h"

namespace muster {
namespace {

void Print(const char* what, absl::Duration took, uint32_t queries) {
  std::printf("%-38s %8.2f ms  %6.2f us a query\n", what, absl::ToDoubleMilliseconds(took),
              absl::ToDoubleMicroseconds(took) / queries);
}

void Measure(uint32_t queries, uint32_t world_size) {
  constexpr uint32_t kPassages = 1'000'000;
  FakeDataset dataset;
  CounterRandom random(17);
  for (uint32_t i = 0; i < kPassages; ++i) dataset.DocumentOfPassage("", dataset.NewPassage(""));
  for (uint32_t query = 0; query < std::max(queries, 100'000u); ++query) {
    dataset.Query("");
    for (int i = 0; i < 4; ++i) {
      dataset.Judge(query, static_cast<uint32_t>(random.Below(kPassages)));
      dataset.HardNegative(query, static_cast<uint32_t>(random.Below(kPassages)));
    }
  }
  PlanInputs inputs;
  inputs.dataset = &dataset;
  inputs.rules.seed = 17;
  inputs.rules.negatives_per_query = 4;
  inputs.batch = queries;
  inputs.queries = SelectableQueries(dataset, 0, inputs.rules);

  const absl::Duration start = RealClock().Monotonic();
  const StepPlan plan = PlanStep(inputs, 0);
  const absl::Duration planned = RealClock().Monotonic();
  std::vector<Sequence> sequences;
  for (uint32_t i = 0; i < plan.queries.size() + plan.passages.size(); ++i) {
    sequences.push_back({i, static_cast<uint32_t>(8 + random.Below(248))});
  }
  const absl::Duration before_deal = RealClock().Monotonic();
  const auto ranks = Deal(std::move(sequences), world_size, 16384);
  const absl::Duration dealt = RealClock().Monotonic();
  std::printf("%zu queries, %zu unique passages, %zu ranks\n", plan.queries.size(), plan.passages.size(),
              ranks.size());
  Print("plan", planned - start, queries);
  Print("deal", dealt - before_deal, queries);
  Print("plan and deal", planned - start + dealt - before_deal, queries);
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
    std::fprintf(stderr, "usage: muster-plan-bench [QUERIES_A_STEP [RANKS]]\n");
    return muster::kExitUsage;
  }
  muster::Measure(queries, ranks);
  return muster::kExitSucceeded;
}
