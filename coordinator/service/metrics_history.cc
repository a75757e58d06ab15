#include "coordinator/service/metrics_history.h"

#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <spdlog/spdlog.h>

#include <fstream>
#include <sstream>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::StepMetrics;

constexpr size_t kMostTails = 1000;

bool IsAfter(const StepMetrics& point, const MetricsHistory::Cursor& cursor) {
  return std::tuple(point.attempt(), point.step()) > std::tuple(cursor.attempt, cursor.step);
}

// Reads complete points; ignores one that a crash left incomplete at the end.
std::vector<StepMetrics> ParsePoints(const std::string& bytes, bool& torn) {
  std::vector<StepMetrics> points;
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  bool at_end = false;
  StepMetrics point;
  while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&point, &stream, &at_end)) {
    points.push_back(std::move(point));
    point.Clear();
  }
  torn = !at_end;
  return points;
}

std::string BytesOf(const std::vector<StepMetrics>& points) {
  std::ostringstream bytes;
  for (const StepMetrics& point : points) google::protobuf::util::SerializeDelimitedToOstream(point, &bytes);
  return bytes.str();
}

}  // namespace

std::filesystem::path MetricsHistory::PathOf(const std::string& job_id) const { return folder_ / job_id / "steps.pb"; }

void MetricsHistory::Record(const std::string& job_id, StepMetrics point) {
  const size_t bytes = point.ByteSizeLong() + sizeof(StepMetrics);
  {
    absl::MutexLock lock(&mutex_);
    ++recorded_;
  }
  const auto settle = [this] {
    absl::MutexLock lock(&mutex_);
    ++written_;
  };
  const bool taken = writer_.TryPost(bytes, [this, settle, job_id, point = std::move(point)] {
    const absl::Status status = HasRoomNow() ? Append(job_id, point) : absl::OkStatus();
    if (!status.ok()) spdlog::warn("metrics of a step of job {} are lost: {}", job_id, std::string(status.message()));
    settle();
  });
  if (taken) return;
  spdlog::warn("metrics of a step of job {} are lost: the disk is too slow", job_id);
  settle();
}

bool MetricsHistory::HasRoomNow() {
  const bool was_full = std::exchange(full_, !has_room_());
  if (full_ && !was_full) spdlog::warn("metrics by step are not kept while the disk is full; jobs run on");
  if (!full_ && was_full) spdlog::info("metrics by step are kept again");
  return !full_;
}

absl::StatusOr<MetricsHistory::Tail*> MetricsHistory::TailOf(const std::string& job_id) {
  const auto known = tails_.find(job_id);
  if (known != tails_.end()) return &known->second;
  if (tails_.size() >= kMostTails) tails_.clear();  // they are read again when needed
  Tail tail;
  std::error_code error;
  if (std::filesystem::exists(PathOf(job_id), error)) {
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(PathOf(job_id)));
    bool torn = false;
    const std::vector<StepMetrics> points = ParsePoints(bytes, torn);
    if (torn) RETURN_IF_ERROR(WriteFileAtomically(PathOf(job_id), BytesOf(points)));
    tail.points = points.size();
    if (!points.empty()) tail.last = {points.back().attempt(), points.back().step()};
  } else {
    RETURN_IF_ERROR(MakeFolders(PathOf(job_id).parent_path()));
  }
  return &(tails_[job_id] = tail);
}

absl::Status MetricsHistory::Thin(const std::string& job_id, Tail& tail) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(PathOf(job_id)));
  bool torn = false;
  const std::vector<StepMetrics> points = ParsePoints(bytes, torn);
  std::vector<StepMetrics> kept;
  for (size_t i = 0; i < points.size(); i += 2) kept.push_back(points[i]);
  RETURN_IF_ERROR(WriteFileAtomically(PathOf(job_id), BytesOf(kept)));
  tail.points = kept.size();
  return absl::OkStatus();
}

absl::Status MetricsHistory::Append(const std::string& job_id, const StepMetrics& point) {
  if (!IsValidName(job_id)) return absl::InvalidArgumentError("job_id: not a name");
  ASSIGN_OR_RETURN(Tail* const tail, TailOf(job_id));
  if (!IsAfter(point, tail->last)) return absl::OkStatus();
  if (tail->points >= max_points_) RETURN_IF_ERROR(Thin(job_id, *tail));
  std::ofstream file(PathOf(job_id), std::ios::binary | std::ios::app);
  google::protobuf::util::SerializeDelimitedToOstream(point, &file);
  file.close();
  if (!file) {
    tails_.erase(job_id);  // the next point repairs an incomplete one
    return absl::DataLossError(absl::StrCat(PathOf(job_id).string(), ": cannot be written. Is the disk full?"));
  }
  ++tail->points;
  tail->last = {point.attempt(), point.step()};
  followers_.Notify(job_id);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StepMetrics>> MetricsHistory::Read(const std::string& job_id, size_t most,
                                                              Cursor& cursor) const {
  if (!IsValidName(job_id)) return absl::InvalidArgumentError("job_id: not a name");
  std::error_code error;
  if (!std::filesystem::exists(PathOf(job_id), error)) return std::vector<StepMetrics>();
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(PathOf(job_id)));
  bool torn = false;  // also while a point is being written: its reader retries
  std::vector<StepMetrics> points;
  for (StepMetrics& point : ParsePoints(bytes, torn)) {
    if (points.size() == most) break;
    if (IsAfter(point, cursor)) points.push_back(std::move(point));
  }
  if (!points.empty()) cursor = {points.back().attempt(), points.back().step()};
  return points;
}

bool MetricsHistory::WaitUntilWritten(absl::Duration wait) {
  absl::MutexLock lock(&mutex_);
  const uint64_t until = recorded_;
  const auto written = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || written_ >= until; };
  return mutex_.AwaitWithTimeout(absl::Condition(&written), wait);
}

void MetricsHistory::Stop() {
  followers_.Stop();
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

}  // namespace muster
