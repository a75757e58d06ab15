#include "tests/bench/scale/garbage_run.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/process/child_process.h"
#include "common/rpc/errors.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "common/timestamp.h"
#include "coordinator/state/store.h"
#include "muster/v1/blob.pb.h"
#include "muster/v1/cluster.grpc.pb.h"
#include "muster/v1/job.grpc.pb.h"
#include "tests/bench/scale/job_mix.h"
#include "tests/bench/scale/liveness_probe.h"
#include "tests/bench/scale/server_process.h"

namespace muster::bench {
namespace {

using nlohmann::json;

double RoundedSeconds(absl::Duration duration) { return std::round(absl::ToDoubleMilliseconds(duration)) / 1000; }

// A blob that was stored two days ago. Only the names of files without bytes take space.
absl::Status WriteBlob(const std::filesystem::path& folder, const std::string& digest, std::string_view bytes) {
  const std::filesystem::path path = folder / digest.substr(0, 2) / digest;
  ASSIGN_OR_RETURN(const OwnedFd file, OpenFd(path, O_WRONLY | O_CREAT | O_TRUNC, 0444));
  if (write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return absl::ResourceExhaustedError(absl::StrCat(path.string(), ": cannot be written"));
  }
  const timespec then = absl::ToTimespec(RealClock().Now() - absl::Hours(48));
  const timespec times[2] = {then, then};
  futimens(file.get(), times);
  return absl::OkStatus();
}

struct Blobs {
  std::vector<std::string> manifests;
  uint32_t named = 0, loose = 0;
};

// Every manifest names two of the files.
absl::StatusOr<Blobs> WriteBlobs(const GarbageRun& run, const std::filesystem::path& folder) {
  for (int i = 0; i < 256; ++i) std::filesystem::create_directories(folder / absl::StrCat(absl::Hex(i, absl::kZeroPad2)));
  Blobs blobs;
  blobs.named = (run.blobs - run.roots) / 2;
  blobs.loose = run.blobs - run.roots - blobs.named;
  const auto name = [](uint32_t i) { return Sha256Hex(absl::StrCat("file ", i)); };
  for (uint32_t i = 0; i < run.roots; ++i) {
    muster::v1::FileManifest manifest;
    for (const uint32_t file : {2 * i, 2 * i + 1}) {
      muster::v1::FileEntry& entry = *manifest.add_files();
      entry.set_path(absl::StrCat("weights-", file));
      entry.set_digest(name(file % blobs.named));
    }
    const std::string bytes = manifest.SerializeAsString();
    blobs.manifests.push_back(Sha256Hex(bytes));
    RETURN_IF_ERROR(WriteBlob(folder, blobs.manifests.back(), bytes));
  }
  for (uint32_t i = 0; i < blobs.named; ++i) RETURN_IF_ERROR(WriteBlob(folder, name(i), ""));
  for (uint32_t i = 0; i < blobs.loose; ++i) RETURN_IF_ERROR(WriteBlob(folder, Sha256Hex(absl::StrCat("loose ", i)), ""));
  return blobs;
}

// The state of a coordinator whose jobs failed yesterday and keep the manifests as checkpoints.
absl::Status WriteJobs(const GarbageRun& run, const std::vector<std::string>& manifests, const std::filesystem::path& folder) {
  Store::Options options;
  options.folder = folder;
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(options));
  const absl::Time yesterday = RealClock().Now() - absl::Hours(24);
  for (uint32_t i = 0; i < run.jobs; ++i) {
    JobRecord record;
    journal::v1::StoredJob& job = *record.mutable_job();
    job.set_id(absl::StrCat("j", i));
    job.set_owner("ada");
    job.set_phase(muster::v1::JOB_PHASE_FAILED);
    *job.mutable_spec() = JobOfTheMix(i);
    FillDefaults(*job.mutable_spec());
    *job.mutable_submitted() = ToProto(yesterday);
    *job.mutable_ended() = ToProto(yesterday);
    for (size_t k = i; k < manifests.size(); k += run.jobs) {
      muster::v1::CheckpointInfo& checkpoint = *job.add_checkpoints();
      checkpoint.set_step(k + 1);
      checkpoint.set_manifest(manifests[k]);
    }
    store->Commit({RecordOf(std::move(record))});
    store->Settle();
  }
  store->Flush();
  return absl::OkStatus();
}

// Milliseconds of calls that the event loop answers, one per 20 ms, until `done`.
std::vector<double> AskUntil(const ServerProcess& coordinator, const std::atomic<bool>& done) {
  const auto stub = muster::v1::JobService::NewStub(coordinator.Channel());
  std::vector<double> times;
  while (!done) {
    muster::v1::ListJobsRequest request;
    request.set_page_size(1);
    muster::v1::ListJobsResponse response;
    grpc::ClientContext context;
    const absl::Duration begin = RealClock().Monotonic();
    if (stub->ListJobs(&context, request, &response).ok()) {
      times.push_back(absl::ToDoubleMilliseconds(RealClock().Monotonic() - begin));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::sort(times.begin(), times.end());
  return times;
}

double At(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<size_t>(share * static_cast<double>(sorted.size()));
  return std::round(sorted[std::min(index, sorted.size() - 1)] * 1000) / 1000;
}

// What a server used since `Begin`.
class Usage {
 public:
  explicit Usage(const ServerProcess& server) : server_(server), cpu_(server.CpuSeconds()), resident_(server.ResidentMiB()) {
    server.BeginPeak();
  }
  json Figures() const {
    return {{"cpu_s", std::round((server_.CpuSeconds() - cpu_) * 100) / 100},
            {"before_mib", std::round(resident_)},
            {"peak_mib", std::round(server_.PeakMiB())}};
  }

 private:
  const ServerProcess& server_;
  const double cpu_, resident_;
};

absl::Status CheckRemoved(const muster::v1::CollectGarbageResponse& response, uint32_t loose) {
  uint64_t blobs = 0, others = 0;
  for (const muster::v1::GarbageKind& kind : response.kinds()) {
    (kind.category() == muster::v1::GARBAGE_CATEGORY_BLOBS ? blobs : others) += kind.count();
  }
  if (blobs == loose && others == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("removed ", blobs, " blobs instead of ", loose, ", and ", others, " other things"));
}

}  // namespace

absl::StatusOr<json> MeasureGarbage(const GarbageRun& run) {
  if (run.roots == 0 || run.jobs == 0 || run.blobs < run.roots + 2) {
    return absl::InvalidArgumentError("garbage: there must be a job, a root, and at least two more blobs than roots");
  }
  ASSIGN_OR_RETURN(const Blobs blobs, WriteBlobs(run, run.folder / "data/state/blobs"));
  RETURN_IF_ERROR(WriteJobs(run, blobs.manifests, run.folder / "coordinator/state"));
  ServerProcess data({run.data, run.folder / "data", {}});
  RETURN_IF_ERROR(data.Start());
  ServerProcess coordinator(
      {run.coordinator, run.folder / "coordinator", ServerProcess::ArgumentsOfCoordinator(data.address())});
  RETURN_IF_ERROR(coordinator.Start());

  const Usage of_coordinator(coordinator), of_data(data);
  LivenessProbe liveness(coordinator.health_address());
  std::atomic<bool> done = false;
  std::vector<double> asked;
  std::thread asks([&] { asked = AskUntil(coordinator, done); });
  muster::v1::CollectGarbageResponse response;
  grpc::ClientContext context;
  const absl::Duration begin = RealClock().Monotonic();
  const absl::Status status = FromGrpc(
      muster::v1::ClusterService::NewStub(coordinator.Channel())->CollectGarbage(&context, {}, &response));
  const absl::Duration took = RealClock().Monotonic() - begin;
  done = true;
  asks.join();
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(CheckRemoved(response, blobs.loose));
  json result = {{"blobs", run.blobs},
                 {"roots", run.roots},
                 {"jobs", run.jobs},
                 {"removed", blobs.loose},
                 {"seconds", RoundedSeconds(took)},
                 {"coordinator", of_coordinator.Figures()},
                 {"data", of_data.Figures()},
                 {"list_meanwhile",
                  {{"calls", asked.size()}, {"p50_ms", At(asked, 0.5)}, {"p99_ms", At(asked, 0.99)}, {"max_ms", At(asked, 1)}}},
                 {"liveness", liveness.Stop()}};
  return result;
}

}  // namespace muster::bench
