// What `muster doctor` found: one line for each thing that it looked at.
#pragma once

#include <string>
#include <vector>

namespace muster {

enum class Verdict { kOk, kWarning, kProblem };

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string what;    // the thing: "certificate of the coordinator"
  std::string detail;  // what is so: "expires in 12 days"
  std::string remedy;  // what to do; empty where all is well
};
using Findings = std::vector<Finding>;

}  // namespace muster
