#include "worker/rank/link/store_results.h"

#include <spdlog/spdlog.h>

#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/query_values_file.h"
#include "common/retrieval/stored_run.h"
#include "common/status.h"

namespace muster {
namespace {

// Moves the rankings into the folder, since they may be large.
absl::Status AddRankings(const ReportResults& results, const std::filesystem::path& folder) {
  if (results.run.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(results.run_status);
  std::error_code error;
  std::filesystem::rename(results.run, folder / kStoredRunFile, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(results.run.string(), ": cannot be moved: ", error.message()));
}

absl::Status AddQueryValues(const ReportResults& results, const std::filesystem::path& folder) {
  if (results.query_values.empty()) return absl::OkStatus();
  return WriteFileAtomically(folder / kQueryValuesFile, results.query_values);
}

absl::StatusOr<std::string> StoredFolder(const std::filesystem::path& folder, BlobClient& blobs) {
  ASSIGN_OR_RETURN(const auto files, blobs.PutFolder(folder));
  return blobs.PutManifest(files);
}

absl::StatusOr<std::string> StoredResults(const ReportResults& results, const std::filesystem::path& folder,
                                          BlobClient& blobs) {
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(AddQueryValues(results, folder));
  RETURN_IF_ERROR(AddRankings(results, folder));
  return StoredFolder(folder, blobs);
}

}  // namespace

std::string StoredStepLog(const StepLog& steps, const ReportResults& results, const std::filesystem::path& scratch,
                          BlobClient& blobs) {
  const auto store = [&]() -> absl::StatusOr<std::string> {
    const std::filesystem::path folder = scratch / "step-log";
    RETURN_IF_ERROR(steps.WriteTo(folder, steps.Size()));
    RETURN_IF_ERROR(AddQueryValues(results, folder));
    if (const absl::Status added = AddRankings(results, folder); !added.ok()) {
      spdlog::warn("the job stores no rankings (report.run_depth): {}", std::string(added.message()));
    }
    return StoredFolder(folder, blobs);
  };
  absl::StatusOr<std::string> manifest = store();
  if (manifest.ok()) return *std::move(manifest);
  spdlog::warn("the step log is not stored by itself, so the checkpoints stay: {}", std::string(manifest.status().message()));
  return "";
}

absl::Status StoreReport(const muster::rank::v1::RankConfig& config, const ReportResults& results, BlobClient& blobs,
                         AgentPipe& agent, Group& group) {
  if (config.rank() == 0) {
    auto manifest = StoredResults(results, std::filesystem::path(config.scratch()) / "report", blobs);
    if (!manifest.ok()) return WithContext(manifest.status(), "results by query");
    muster::rank::v1::RankMessage message;
    message.mutable_exported()->set_step_log(*std::move(manifest));
    RETURN_IF_ERROR(agent.Send(message));
  }
  // The job succeeds with the other ranks only if the results are stored.
  const absl::Status together = group.Barrier();
  return config.rank() == 0 ? absl::OkStatus() : together;
}

}  // namespace muster
