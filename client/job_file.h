// A job file: YAML, or JSON, whose keys are the field names of muster.v1.JobSpec, read by way of its descriptor. Values of an
// enumeration are in lower case without prefix, or as protobuf's JSON spells them (mean, POOLING_MEAN); 64-bit numbers may
// be sizes (4GiB, 512MB). What `muster get` prints as a job's spec, in JSON or YAML, is a job file.
//
// Errors name file, line and field, what is allowed, and the nearest right name:
//   job.yaml:7: loss.objective: unknown value "lse_pair". Allowed: jointlh, …, mean1lh. Did you mean "lsepair"?
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"

namespace muster {

// `name` appears in errors. Each override is "a.b=VALUE", VALUE in YAML (null: as if the field were left out), and is
// applied after the file, in order. The result has no defaults filled in, but is known to be valid with them.
absl::StatusOr<muster::v1::JobSpec> ParseJobFile(const std::string& name, const std::string& text,
                                                 const std::vector<std::string>& overrides = {});
// The text alone, without defaults, and without checking it by the rules of a job.
absl::StatusOr<muster::v1::JobSpec> ReadJobText(const std::string& name, const std::string& text);
absl::StatusOr<muster::v1::JobSpec> ReadJobFile(const std::filesystem::path& file,
                                                const std::vector<std::string>& overrides = {});

// The number of documents in a YAML text, counted up to two. Throws YAML::Exception for text that is not YAML.
int CountYamlDocuments(const std::string& text);

// The text with only the characters that a job's name may have, and no longer than one.
std::string ValidJobName(const std::string& text);

}  // namespace muster
