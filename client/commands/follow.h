// Shared by submit --wait, eval, mine and watch: follows a job to its end, and prints the result.
#pragma once

#include <cstdio>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli.h"
#include "client/watch_job.h"

namespace muster {

// The stream for progress: standard output if that is a terminal and results are a table, otherwise standard error.
FILE* ProgressStream(const Cli& cli);

// Prints "job ID (NAME)" at once, so that a user who interrupts the command knows the job.
void AnnounceJob(const Cli& cli, const muster::v1::Job& job);

// Shows progress until the job has ended, then prints the result on standard output. Returns the exit code: 0, 1 or 3.
absl::StatusOr<int> FollowJob(const Cli& cli, const Connection& connection, const std::string& id,
                              const WatchOptions& options);

}  // namespace muster
