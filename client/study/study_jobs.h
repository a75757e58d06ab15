// The jobs of a study on a cluster.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/study/cell_result.h"
#include "client/study/study_file.h"
#include "client/study/study_status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {

// The current jobs of the study.
absl::StatusOr<std::vector<CellJob>> FindStudyJobs(muster::v1::JobService::Stub& stub, const StudyFile& study);

// Submits the cell's job, or returns the job that an earlier call submitted. `ended`: jobs of the cell that ended
// without success. Adds notes of the coordinator to `notes`.
absl::StatusOr<muster::v1::JobSummary> SubmitCell(muster::v1::JobService::Stub& stub, const StudyCell& cell, size_t ended,
                                                  std::vector<std::string>& notes);

// The results that the report needs, one per cell.
absl::StatusOr<std::vector<CellResult>> FetchResults(const Connection& connection, const StudyFile& study);

}  // namespace muster
