// What each argument of the other tools means for a job.
#pragma once

#include <span>
#include <string_view>

namespace muster {

enum class ArgumentRule {
  kCopy,         // the value is the field's
  kHarmless,     // what is trained does not depend on it
  kHarmlessIf,   // so it is with one of `values`; otherwise not translated
  kRefused,      // not translated
  kTranslate,    // a function in tools/ knows it
};

struct RuleOf {
  std::string_view key;
  ArgumentRule rule;
  std::string_view text;         // kCopy: the field; otherwise why
  std::string_view values = "";  // kHarmlessIf: separated by '|'
};
std::span<const RuleOf> ArgumentRules();

// The first rule of the table that fits; null: none. A key that ends with '*' means all keys with that prefix.
const RuleOf* FindArgumentRule(std::string_view key);

}  // namespace muster
