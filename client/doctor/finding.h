// A finding of `muster doctor`: one line per check.
#pragma once

#include <string>
#include <vector>

namespace muster {

enum class Verdict { kOk, kWarning, kProblem };

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string what;  // what was checked: "certificate of the coordinator"
  std::string detail;  // the result: "expires in 12 days"
  std::string remedy;  // what to do; empty if nothing is wrong
};
using Findings = std::vector<Finding>;

}  // namespace muster
