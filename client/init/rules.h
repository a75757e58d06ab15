// The meaning of each argument of the other tools for a job.
#pragma once

#include <span>
#include <string_view>

namespace muster {

enum class ArgumentRule {
  kCopy,         // the field gets the value
  kHarmless,  // it has no effect on what is trained
  kHarmlessIf,  // harmless with one of `values`; otherwise not translated
  kRefused,      // not translated
  kTranslate,  // handled by a function in tools/
};

struct RuleOf {
  std::string_view key;
  ArgumentRule rule;
  std::string_view text;  // kCopy: the field; otherwise the reason
  std::string_view values = "";  // kHarmlessIf: separated by '|'
};
std::span<const RuleOf> ArgumentRules();

// The first rule of the table that fits; null: none. A key that ends with '*' means all keys with that prefix.
const RuleOf* FindArgumentRule(std::string_view key);

}  // namespace muster
