#include "coordinator/data/service/store_watch.h"

#include <system_error>
#include <utility>

#include "common/clock.h"

namespace muster {

uint64_t BytesBelow(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  uint64_t bytes = 0;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
  while (!error && it != fs::recursive_directory_iterator()) {
    std::error_code gone;
    if (it->is_regular_file(gone) && !gone) {
      const uint64_t size = it->file_size(gone);
      if (!gone) bytes += size;
    }
    it.increment(error);
  }
  return bytes;
}

StoreWatch::StoreWatch(const DataStores& stores, std::filesystem::path folder, MetricRegistry& metrics,
                       absl::Duration interval, absl::Duration bytes_interval)
    : stores_(stores),
      folder_(std::move(folder)),
      datasets_(metrics.AddGauge("muster_datasets")),
      models_(metrics.AddGauge("muster_models")),
      free_(metrics.AddGauge("muster_state_free_bytes")),
      size_(metrics.AddGauge("muster_state_size_bytes")),
      bytes_(metrics.Gauges("muster_store_bytes")) {
  Look();
  for (const char* kind : {"datasets", "tokens", "blobs"}) bytes_.Set({kind}, 0);
  thread_ = std::thread([this, interval, bytes_interval] { Run(interval, bytes_interval); });
}

StoreWatch::~StoreWatch() {
  stopping_.Notify();
  thread_.join();
}

void StoreWatch::Look() {
  if (const auto datasets = stores_.catalogue->ListDatasets(); datasets.ok()) {
    datasets_.Set(static_cast<double>(datasets->size()));
  }
  if (const auto models = stores_.catalogue->ListModels(); models.ok()) models_.Set(static_cast<double>(models->size()));
  std::error_code error;
  const std::filesystem::space_info volume = std::filesystem::space(folder_, error);
  if (error) return;
  free_.Set(static_cast<double>(volume.available));
  size_.Set(static_cast<double>(volume.capacity));
}

void StoreWatch::CountBytes() {
  bytes_.Set({"datasets"}, static_cast<double>(BytesBelow(stores_.state->datasets())));
  bytes_.Set({"tokens"}, static_cast<double>(BytesBelow(stores_.state->tokens())));
  bytes_.Set({"blobs"}, static_cast<double>(BytesBelow(stores_.state->blobs())));
}

void StoreWatch::Run(absl::Duration interval, absl::Duration bytes_interval) {
  absl::Duration next_bytes = RealClock().Monotonic();
  do {
    Look();
    if (RealClock().Monotonic() < next_bytes) continue;
    CountBytes();
    next_bytes = RealClock().Monotonic() + bytes_interval;
  } while (!stopping_.WaitForNotificationWithTimeout(interval));
}

}  // namespace muster
