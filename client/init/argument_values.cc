#include "client/init/argument_values.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace muster {

std::string ValueOf(const Argument& argument) {
  const std::string text = argument.Text();
  return text == "True" || text == "False" ? absl::AsciiStrToLower(text) : text == "None" ? "null" : text;
}

std::string Quoted(const Argument& argument) { return absl::StrCat(argument.key, ": ", argument.Text()); }

std::string NameFrom(const std::string& path, const std::string& otherwise) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  std::string name;
  for (const unsigned char c : parts.empty() ? std::string() : absl::AsciiStrToLower(parts.back())) {
    const bool allowed = std::isalnum(c) || c == '.' || c == '_' || c == '-';
    const bool may_begin = c < 128 && std::isalnum(c);
    if (may_begin || !name.empty()) name += c < 128 && allowed ? static_cast<char>(c) : '-';
  }
  for (const char* ending : {".gz", ".zst", ".jsonl", ".json"}) {
    if (absl::EndsWith(name, ending)) name.resize(name.size() - std::string(ending).size());
  }
  name.resize(std::min<size_t>(name.size(), 63));
  return name.empty() ? otherwise : name;
}

std::optional<double> FiniteNumber(const std::string& text) {
  double number = 0;
  if (!absl::SimpleAtod(text, &number) || !std::isfinite(number)) return std::nullopt;
  return number;
}

}  // namespace muster
