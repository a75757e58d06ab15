// The end of an import: what it wrote becomes the content of its name, or nothing changes.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "common/rpc/principal.h"
#include "coordinator/data/service/call.h"
#include "coordinator/data/store/state_folder.h"
#include "muster/v1/data.pb.h"

namespace muster {

// What the name stands for when an import begins; nothing if it is free. An error if the import may not have it, before
// anything is sent: ALREADY_EXISTS, PERMISSION_DENIED (service/ownership.h).
absl::StatusOr<std::optional<muster::v1::Dataset>> LookForImport(const DataContext& data, const Principal& caller,
                                                                 const muster::v1::ImportHeader& header);

// `scratch`: the imported files as a dataset, described by `report`. Where `before` has splits that the import does not
// bring, they are kept. Publishes the content, gives it the name, and completes the report.
// ABORTED (NAME_CHANGED) if the name changed since `before` was read: another import of it won.
absl::Status PublishImport(const DataContext& data, const Principal& caller,
                           const std::optional<muster::v1::Dataset>& before, ScratchFolder scratch,
                           muster::v1::ImportReport& report);

}  // namespace muster
