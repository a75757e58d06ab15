// Shared by submit, eval, mine and watch: submits a job, follows it to its end, and prints the result.
#pragma once

#include <cstdio>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli.h"
#include "client/watch_job.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {

// Completes the job in `model.from`, submits the job, and prints the notes of the answer on standard error. Errors begin with
// the command's name.
absl::StatusOr<muster::v1::Job> SubmitJobOf(const std::string& command, muster::v1::JobService::Stub& stub,
                                            muster::v1::SubmitJobRequest request);

// The stream for progress: standard output if that is a terminal and results are a table, otherwise standard error.
FILE* ProgressStream(const Cli& cli);

// Prints "job ID (NAME)" at once, so that a user who interrupts the command knows the job.
void AnnounceJob(const Cli& cli, const muster::v1::Job& job);

// Shows progress until the job has ended, and returns it. Ctrl-C says that the job keeps running.
absl::StatusOr<muster::v1::Job> FollowToEnd(const Cli& cli, const Connection& connection, const std::string& id,
                                            const WatchOptions& options);

// The human-readable result of an ended job; "" if the progress has already shown it.
std::string ResultTable(const Cli& cli, const muster::v1::Job& job);

// Shows progress until the job has ended, then prints the result on standard output. Returns the exit code: 0, 1 or 3.
absl::StatusOr<int> FollowJob(const Cli& cli, const Connection& connection, const std::string& id,
                              const WatchOptions& options);

}  // namespace muster
