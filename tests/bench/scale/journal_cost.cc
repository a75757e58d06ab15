#include "tests/bench/scale/journal_cost.h"

#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/state/store.h"
#include "coordinator/state/testing/gang_life.h"

namespace muster::bench {

absl::StatusOr<JournalCosts> MeasureJournal(uint32_t ranks, uint32_t attempts) {
  ASSIGN_OR_RETURN(const std::filesystem::path folder,
                   MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-scale-bench"));
  const auto now = [] { return RealClock().Monotonic(); };
  JournalCosts costs{.ranks = ranks, .attempts = attempts};
  const uint32_t first = attempts / 2, measured = attempts - first;
  Store::Options options;
  options.folder = folder;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(options));
    GangLife life(*store, ranks);
    for (uint32_t i = 0; i < first; ++i) life.FailOneAttempt();
    const Store::Written before = store->written();
    const absl::Duration begin = now();
    for (uint32_t i = 0; i < measured; ++i) life.FailOneAttempt();
    costs.attempt_milliseconds = absl::ToDoubleMilliseconds(now() - begin) / measured;
    costs.entry_bytes = static_cast<double>(store->written().entries - before.entries) / measured;
    costs.item_bytes = static_cast<double>(store->written().items - before.items) / measured;
  }
  const absl::Duration begin = now();
  RETURN_IF_ERROR(Store::Open(options).status());
  costs.restart_milliseconds = absl::ToDoubleMilliseconds(now() - begin);
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  return costs;
}

absl::StatusOr<StartCosts> MeasureStart(uint32_t jobs, uint32_t long_jobs, uint32_t attempts) {
  constexpr uint32_t kRanks = 8;
  constexpr double kMiB = 1 << 20;
  ASSIGN_OR_RETURN(const std::filesystem::path folder,
                   MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-scale-bench"));
  StartCosts costs{.jobs = jobs, .long_jobs = long_jobs, .attempts = attempts};
  Store::Options options;
  options.folder = folder;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(options));
    for (uint32_t i = 0; i < jobs; ++i) {
      GangLife life(*store, kRanks, absl::StrCat("j", i));
      // Spread over the others, as they would be.
      const bool is_long = uint64_t{i} * long_jobs / jobs != (uint64_t{i} + 1) * long_jobs / jobs;
      for (uint32_t attempt = 0; is_long && attempt < attempts; ++attempt) life.FailOneAttempt();
      life.Succeed();
      if (!IsFinal(life.job().job().phase())) return absl::InternalError("a job has not ended");
      store->Settle();
    }
    store->Flush();
    costs.written_mib = static_cast<double>(store->written().entries + store->written().items) / kMiB;
  }
  std::error_code error;
  costs.stored_mib = static_cast<double>(std::filesystem::file_size(folder / "coordinator.db", error)) / kMiB;
  const absl::Duration begin = RealClock().Monotonic();
  RETURN_IF_ERROR(Store::Open(options).status());
  costs.start_milliseconds = absl::ToDoubleMilliseconds(RealClock().Monotonic() - begin);
  std::filesystem::remove_all(folder, error);
  return costs;
}

}  // namespace muster::bench
