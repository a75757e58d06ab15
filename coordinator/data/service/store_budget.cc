#include "coordinator/data/service/store_budget.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "coordinator/data/service/store_watch.h"

namespace muster {
namespace {

constexpr absl::Duration kCountEvery = absl::Seconds(10);
constexpr size_t kNamed = 3;  // how many of the largest items a message names

std::string Megabytes(uint64_t bytes) { return absl::StrFormat("%.1f MB", static_cast<double>(bytes) / 1e6); }

// "dataset big (9.1 MB), model e5 (4.0 MB)".
std::string Largest(const DataStores& stores) {
  std::vector<std::pair<uint64_t, std::string>> named;
  const auto datasets = stores.catalogue->ListDatasets();
  if (datasets.ok()) {
    for (const auto& dataset : *datasets) named.push_back({dataset.bytes(), absl::StrCat("dataset ", dataset.name())});
  }
  const auto models = stores.catalogue->ListModels();
  if (models.ok()) {
    for (const auto& model : *models) named.push_back({model.bytes(), absl::StrCat("model ", model.name())});
  }
  std::sort(named.rbegin(), named.rend());
  named.resize(std::min(named.size(), kNamed));
  if (named.empty()) return "nothing with a name";
  return absl::StrJoin(named, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.second, " (", Megabytes(entry.first), ")");
  });
}

}  // namespace

std::map<std::string, uint64_t> StoredBytes(const DataStores& stores) {
  return {{"datasets", BytesBelow(stores.state->datasets())},
          {"tokens", BytesBelow(stores.state->tokens())},
          {"blobs", BytesBelow(stores.state->blobs())}};
}

absl::Status StoreBudget::CheckRoom(uint64_t bytes) {
  RETURN_IF_ERROR(stores_.state->CheckRoom(bytes));
  if (budget_ == 0) return absl::OkStatus();
  uint64_t stored = 0;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Duration now = clock_.Monotonic();
    if (now - counted_at_ >= kCountEvery || stored_ + bytes > budget_) {  // measures before it refuses
      stored_ = 0;
      for (const auto& [kind, kind_bytes] : StoredBytes(stores_)) stored_ += kind_bytes;
      counted_at_ = now;
    }
    if (stored_ + bytes <= budget_) {
      stored_ += bytes;
      return absl::OkStatus();
    }
    stored = stored_;
  }
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat(
          "the data server stores ", Megabytes(stored), " of at most ", Megabytes(budget_), ", and ", Megabytes(bytes),
          " more are asked for. Largest: ", Largest(stores_),
          ". Remove what is not needed (muster data rm, muster models rm), then muster gc; or raise --store-budget.")),
      "STORE_BUDGET");
}

}  // namespace muster
