// muster-tokenize FILE [cased] [null] [count] < texts: the ids of each text, separated by spaces, one line per text.
//
// FILE is a tokenizer.json, a vocab.txt (cased: neither lowered nor stripped of accents), or a model's folder. Texts
// are lines; null: they end with NUL. count: only writes the total number of ids, for timing.
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "common/exit_code.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/tokenizer_files.h"
#include "coordinator/data/tokenize/tokenizer_json.h"
#include "coordinator/data/tokenize/vocab_txt.h"

namespace muster {
namespace {

absl::StatusOr<std::shared_ptr<const Tokenizer>> Load(const std::filesystem::path& path, bool cased) {
  if (std::filesystem::is_directory(path)) {
    return ReadTokenizer([&path](std::string_view name) -> absl::StatusOr<std::optional<std::string>> {
      if (!std::filesystem::exists(path / name)) return std::nullopt;
      ASSIGN_OR_RETURN(std::string bytes, ReadFile(path / name));
      return bytes;
    });
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  if (path.extension() != ".json") return TokenizerOfVocabulary(bytes, !cased);
  ASSIGN_OR_RETURN(const nlohmann::json json, ParseJsonObject(bytes, path.filename().string()));
  return TokenizerOfJson(json, path.filename().string());
}

int Run(int argc, char** argv) {
  bool cased = false, null = false, quiet = false;
  bool understood = argc >= 2;
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    cased |= word == "cased";
    null |= word == "null";
    quiet |= word == "count";
    understood &= word == "cased" || word == "null" || word == "count";
  }
  if (!understood) {
    std::fprintf(stderr, "usage: muster-tokenize FILE [cased] [null] [count] < texts\n");
    return kExitUsage;
  }
  const auto tokenizer = Load(argv[1], cased);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s: %s\n", argv[1], std::string(tokenizer.status().message()).c_str());
    return kExitUsage;
  }
  std::ios::sync_with_stdio(false);
  std::string line, out;
  std::vector<uint32_t> ids;
  uint64_t count = 0, texts = 0;
  while (std::getline(std::cin, line, null ? '\0' : '\n')) {
    ids.clear();
    if (const absl::Status status = (*tokenizer)->Encode(line, ids); !status.ok()) {
      std::fprintf(stderr, "text %llu: %s\n", static_cast<unsigned long long>(texts), std::string(status.message()).c_str());
      return kExitUsage;
    }
    ++texts;
    count += ids.size();
    if (quiet) continue;
    out.clear();
    for (const uint32_t id : ids) {
      if (!out.empty()) out += ' ';
      out += std::to_string(id);
    }
    out += '\n';
    std::cout << out;
  }
  if (quiet) std::cout << count << '\n';
  return kExitSucceeded;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) { return muster::Run(argc, argv); }
