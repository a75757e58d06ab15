// What a rank inherits from the agent's environment: listed names only, so that neither secrets nor settings of NCCL
// that nobody chose pass.
#pragma once

#include <string>
#include <vector>

namespace muster {

// `environment` and the result: "NAME=value". `scratch` becomes TMPDIR.
std::vector<std::string> RankEnvironment(const std::vector<std::string>& environment, const std::string& scratch);

// This process's environment.
std::vector<std::string> OwnEnvironment();

}  // namespace muster
