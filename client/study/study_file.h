// A study file: one job, and the fields in which the jobs of the study differ. Its jobs are the cells of a grid: one per arm (a
// combination of values) and seed. docs/reference/study-file.md has the keys.
//
// Errors name file, line and key, what is allowed, and the nearest right name, as those of job files do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"

namespace muster {

inline constexpr size_t kMostStudyCells = 10'000;
inline constexpr size_t kLongestStudyName = 32;

// One dimension of the grid: a field of the job with its values, or a name with named sets of fields.
struct StudyFactor {
  std::string key;                  // "loss.objective"
  std::string name;                 // "objective", or the whole key if several keys have this last part
  std::vector<std::string> levels;  // its values as text, in the order of the file
};

struct StudyArm {
  std::string label;           // "objective=lsepair, per_query=4"; "base" without a grid
  std::vector<size_t> levels;  // one per factor
};

struct StudyCell {
  size_t arm = 0;
  uint64_t seed = 0;
  // STUDY.VALUES.DIGEST. The digest covers the study's name and everything that the file says about the cell, and does
  // not depend on the order of keys.
  std::string job_name;
  std::string request_id;  // of the cell's first submission
  muster::v1::JobSpec spec;
};

struct StudyPair {
  size_t a = 0, b = 0;  // arms
};

struct StudyFile {
  std::string name;
  std::vector<StudyFactor> factors;
  std::vector<StudyArm> arms;  // in the order of the grid; the last factor varies fastest
  std::vector<uint64_t> seeds;
  std::vector<StudyCell> cells;  // by arm, then by seed
  // What the report shows.
  std::vector<std::string> metrics;  // the first one decides
  std::vector<StudyPair> pairs;      // the comparisons
  double difference = 0.01;          // of a metric: the report says how many seeds would show it
};

// `file` appears in errors.
absl::StatusOr<StudyFile> ParseStudyFile(const std::string& file, const std::string& text);
absl::StatusOr<StudyFile> ReadStudyFile(const std::filesystem::path& file);

// The request id of a cell's next submission, after `ended` of its jobs ended without success.
std::string StudyRequestId(const StudyCell& cell, size_t ended);

}  // namespace muster
