#include "common/split_name.h"

#include <array>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

enum class Use { kTrain, kTest, kDevelopment, kOther };

struct Word {
  std::string_view word, split;
  Use use;
};
constexpr std::array<Word, 14> kWords = {{{"train", "train", Use::kTrain},
                                          {"training", "train", Use::kTrain},
                                          {"test", "test", Use::kTest},
                                          {"testing", "test", Use::kTest},
                                          {"dev", "dev", Use::kDevelopment},
                                          {"devel", "dev", Use::kDevelopment},
                                          {"development", "dev", Use::kDevelopment},
                                          {"val", "val", Use::kDevelopment},
                                          {"valid", "valid", Use::kDevelopment},
                                          {"validation", "validation", Use::kDevelopment},
                                          {"eval", "eval", Use::kDevelopment},
                                          {"evaluation", "evaluation", Use::kDevelopment},
                                          {"heldout", "heldout", Use::kDevelopment},
                                          {"holdout", "holdout", Use::kDevelopment}}};

const Word* Find(std::string_view word) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(word));
  for (const Word& known : kWords) {
    if (known.word == lower) return &known;
  }
  return nullptr;
}

Use UseOf(std::string_view split) {
  const Word* word = Find(split);
  return word == nullptr ? Use::kOther : word->use;
}

// "val" and "dev" are two words for the same split; "test" and "train" are not.
bool Contradict(std::string_view given, std::string_view named) {
  return given != named && (UseOf(given) == Use::kOther || UseOf(given) != UseOf(named));
}

// Runs of letters; a capital after a lower-case letter begins a new word, as in "myTest".
std::vector<std::string> LetterRuns(std::string_view name) {
  std::vector<std::string> runs;
  char before = '\0';
  for (const char c : name) {
    const auto is_letter = absl::ascii_isalpha(static_cast<unsigned char>(c));
    if (is_letter) {
      const bool begins = !absl::ascii_isalpha(static_cast<unsigned char>(before)) ||
                          (absl::ascii_islower(static_cast<unsigned char>(before)) &&
                           absl::ascii_isupper(static_cast<unsigned char>(c)));
      if (begins) runs.emplace_back();
      runs.back() += c;
    }
    before = c;
  }
  return runs;
}

constexpr absl::string_view kRemedy = "Name the split of each file: --split ";

}  // namespace

std::string SplitOfWord(std::string_view word) {
  const Word* found = Find(word);
  return found == nullptr ? "" : std::string(found->split);
}

absl::StatusOr<std::string> SplitNamedBy(std::string_view path) {
  std::string split;
  for (const std::string& run : LetterRuns(path)) {
    const std::string named = SplitOfWord(run);
    if (named.empty() || named == split) continue;
    if (!split.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(ToAbsl(path), ": names the splits ", split, " and ", named, ". ",
                                                     kRemedy, split, "=FILE or --split ", named, "=FILE."));
    }
    split = named;
  }
  return split;
}

TableName TableNamedBy(std::string_view path) {
  const size_t slash = path.rfind('/');
  bool documents = false, queries = false;
  for (const std::string& run : LetterRuns(slash == std::string_view::npos ? path : path.substr(slash + 1))) {
    const std::string word = absl::AsciiStrToLower(run);
    documents |= word == "corpus" || word == "collection" || word == "documents" || word == "docs" || word == "passages";
    queries |= word == "queries" || word == "questions" || word == "topics";
  }
  if (documents != queries) return documents ? TableName::kDocuments : TableName::kQueries;
  if (documents || slash == std::string_view::npos) return TableName::kNone;
  return TableNamedBy(path.substr(0, slash));
}

absl::StatusOr<SplitAssignment::Assigned> SplitAssignment::Add(const std::string& path, const std::string& own) {
  if (!own.empty()) return Assigned{own, false};
  if (!given_.empty()) {
    // A path that names two splits contradicts every given split.
    ASSIGN_OR_RETURN(const std::string named, SplitNamedBy(path));
    if (named.empty() || !Contradict(given_, named)) return Assigned{given_, false};
    return absl::InvalidArgumentError(absl::StrCat(path, ": is named after split ", named, ", and the given split is ",
                                                   given_, ". ", kRemedy, named, "=FILE, or --split ", given_,
                                                   "=FILE if the name misleads."));
  }
  ASSIGN_OR_RETURN(const std::string named, SplitNamedBy(path));
  if (named.empty()) {
    if (!unnamed_.has_value()) unnamed_ = path;
  } else if (!named_.has_value()) {
    named_ = Named{path, named};
  }
  if (named_.has_value() && unnamed_.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(named_->path, " is named after split ", named_->split, ", and ",
                                                   *unnamed_, " after none. ", kRemedy, named_->split, "=",
                                                   named_->path, " --split NAME=", *unnamed_, "."));
  }
  return named.empty() ? Assigned{"train", false} : Assigned{named, true};
}

}  // namespace muster
