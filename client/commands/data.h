// The commands `muster data …`, each in a separate file.
#pragma once

#include <memory>

#include "client/cli.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {

absl::StatusOr<std::unique_ptr<muster::v1::DataService::Stub>> OpenDataService(const Cli& cli);

void AddImportCommand(CLI::App& data, Cli& cli);  // import, add
void AddShowCommands(CLI::App& data, Cli& cli);   // show, report
void AddDataExportCommand(CLI::App& data, Cli& cli);

}  // namespace muster
