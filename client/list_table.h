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

// On standard output. Nothing is cut with `wide`, or in a pipe.
void PrintTable(const Table& table, bool wide);

}  // namespace muster
