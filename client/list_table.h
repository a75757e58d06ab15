// Tables that list something: fitted to the terminal, with ages instead of times unless --wide is given.
#pragma once

#include <string>

#include "client/cli.h"
#include "client/output.h"
#include "google/protobuf/timestamp.pb.h"

namespace muster {

void AddWideFlag(CLI::App& command, Cli& cli, bool& wide);

// "3 min ago", or the exact local time with `wide`.
std::string TimeCell(const google::protobuf::Timestamp& time, bool wide);

// Prints to standard output. With `wide`, or in a pipe, nothing is cut.
void PrintTable(const Table& table, bool wide);

}  // namespace muster
