// The end of an import: what it wrote becomes the content of its name, or nothing changes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "common/rpc/principal.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/service/call.h"
#include "coordinator/data/service/mutation_request.h"
#include "coordinator/data/service/report_tokens.h"
#include "coordinator/data/store/state_folder.h"
#include "muster/v1/data.pb.h"

namespace muster {

// The facts about an import that are known before its files arrive.
struct ImportStart {
  bool adds = false;                         // to `base`, which must be set
  std::optional<muster::v1::Dataset> before;  // the dataset that has the name; nothing if it is free
  std::shared_ptr<const Dataset> base;        // what the import adds to; usually the content of `before`
  uint64_t base_bytes = 0;                    // of `base`, on the disk
  std::function<absl::Status(double)> progress;  // called while a dataset is copied; its error ends the copying; may be empty
  std::optional<ReportTokens> tokens;         // for the report's token counts, if requested
};

// An error if the import may not have the name or refers to something missing, before anything is sent: ALREADY_EXISTS,
// PERMISSION_DENIED (service/ownership.h), NOT_FOUND, INVALID_ARGUMENT.
absl::StatusOr<ImportStart> BeginImport(const DataContext& data, const Principal& caller,
                                        const muster::v1::ImportHeader& header);

// The report that answered an earlier import with this request id.
absl::Status ReadAnswer(const std::string& bytes, muster::v1::ImportReport& report);

// `scratch`: the imported files as a dataset, described by `report`. Adds them to the existing dataset, or keeps the
// splits that the import does not contain. Publishes the content, gives it the name, and completes the report. ABORTED
// (NAME_CHANGED) if the name changed since the import began, because another import of it finished first.
// If another call with the same request id was faster, nothing changes and the report becomes that call's.
absl::Status PublishImport(const DataContext& data, const Principal& caller, const ImportStart& start,
                           const MutationRequest& request, ScratchFolder scratch, muster::v1::ImportReport& report);

}  // namespace muster
