// Which versions of Muster's programs work together: those of one major version whose minor versions differ by at most
// one. So a cluster is upgraded one program after the other, and one minor version at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

struct Version {
  uint32_t major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};
std::optional<Version> ParseVersion(std::string_view text);  // "0.1.0", also "0.1.0-rc1"; nothing: it is not a version
std::string ToString(const Version& version);

// The version of this build.
std::string OwnVersionText();
Version OwnVersion();

// OK if `peer` and `own` work together. Otherwise FAILED_PRECONDITION, reason VERSION_MISMATCH, that names both, and what to
// upgrade first. `who` is the peer and `us` is this program, as text: "the worker w1", "this coordinator".
absl::Status CheckVersions(std::string_view who, const Version& peer, std::string_view us, const Version& own);

// The version in a gRPC user agent that MakeChannel sets ("muster/0.1.0 grpc-c++/1.51.1 …"). Nothing: another kind of
// client, or a version that did not report it.
std::optional<Version> VersionOfUserAgent(std::string_view user_agent);

// The protocol version that an agent of this build reports (Hello.protocol). Increase it by one with every addition
// that the other side has to know about, and with every change of what ranks send to each other: a gang never mixes
// protocols. Agents below 6 call services that no longer exist, so none of them gets as far as its Hello.
inline constexpr uint32_t kProtocol = 10;

// From this version on an agent's ranks make models of other jobs' checkpoints (model.from: job:ID@STEP).
inline constexpr uint32_t kModelCheckpointProtocol = 7;

// From this version on ranks tell each other which sequences they encode, and read tokens of 16 bits. Older ranks receive
// the slots of all ranks in every share, and tokens of 32 bits.
inline constexpr uint32_t kCompactSharesProtocol = 8;

// From this version on ranks know the training settings that it introduced, and mine hard negatives:
// common/spec/job_spec.cc says which.
inline constexpr uint32_t kTrainingAidsProtocol = 9;

// From this version on ranks know data.noise, data.sets, report.metrics and report.run_depth, and report how gradients are
// distributed over positives.
inline constexpr uint32_t kLabelNoiseProtocol = 10;

// From this version on ranks know precision@K, and metrics of whole rankings other than mrr.
inline constexpr uint32_t kMetricsProtocol = 8;

}  // namespace muster
