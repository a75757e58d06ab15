// muster-tokenize VOCAB [cased] < lines: the ids of each line of text, separated by spaces, a line each.
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "common/exit_code.h"
#include "common/files.h"
#include "coordinator/data/tokenize/wordpiece.h"

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3 || (argc == 3 && std::string_view(argv[2]) != "cased")) {
    std::fprintf(stderr, "usage: muster-tokenize VOCAB [cased] < lines\n");
    return muster::kExitUsage;
  }
  const auto vocabulary = muster::ReadFile(argv[1]);
  if (!vocabulary.ok()) {
    std::fprintf(stderr, "%s\n", std::string(vocabulary.status().message()).c_str());
    return muster::kExitUsage;
  }
  const auto tokenizer = muster::WordPieceTokenizer::FromVocabulary(*vocabulary, argc == 2);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s: %s\n", argv[1], std::string(tokenizer.status().message()).c_str());
    return muster::kExitUsage;
  }
  std::ios::sync_with_stdio(false);
  std::string line, out;
  std::vector<uint32_t> ids;
  while (std::getline(std::cin, line)) {
    ids.clear();
    (*tokenizer)->Encode(line, ids);
    out.clear();
    for (const uint32_t id : ids) {
      if (!out.empty()) out += ' ';
      out += std::to_string(id);
    }
    out += '\n';
    std::cout << out;
  }
  return muster::kExitSucceeded;
}
