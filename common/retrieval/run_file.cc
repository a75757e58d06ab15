#include "common/retrieval/run_file.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/retrieval/text_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

// The first words of a line. Not a vector, because a run may have millions of lines.
struct RunWords {
  std::string_view words[6];
  int count = 0;  // of all words
};

RunWords SplitWords(std::string_view line) {
  RunWords result;
  for (size_t begin = 0; begin < line.size();) {
    if (absl::ascii_isspace(static_cast<unsigned char>(line[begin]))) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < line.size() && !absl::ascii_isspace(static_cast<unsigned char>(line[end]))) ++end;
    if (result.count < 6) result.words[result.count] = line.substr(begin, end - begin);
    ++result.count;
    begin = end;
  }
  return result;
}

absl::Status WrongFields(int count) {
  const std::string fields = absl::StrCat("has ", count, count == 1 ? " field" : " fields");
  const char* format = "A run has 6: query, Q0, document, rank, score, tag.";
  if (count == 4) return absl::InvalidArgumentError(absl::StrCat(fields, ": are these judgments (--qrels)? ", format));
  if (count == 3) {
    return absl::InvalidArgumentError(
        absl::StrCat(fields, ", as runs of MS MARCO without scores. ", format, " Write minus the rank as the score."));
  }
  return absl::InvalidArgumentError(absl::StrCat(fields, ". ", format, " Fix the line."));
}

}  // namespace

absl::StatusOr<RunFile> RunFile::Read(const std::string& file, Duplicates duplicates) {
  RunFile run;
  run.file_ = file;
  ASSIGN_OR_RETURN(std::string text, ReadTextFile(file));
  run.text_ = std::make_unique<std::string>(std::move(text));
  RETURN_IF_ERROR(run.Parse());
  RETURN_IF_ERROR(run.Deduplicate(duplicates));
  return run;
}

absl::Status RunFile::Parse() {
  size_t place = 0;  // of the previous line, because the lines of a query usually follow each other
  return ForEachLine(file_, *text_, [&](std::string_view line, uint32_t number) -> absl::Status {
    const RunWords fields = SplitWords(line);
    if (fields.count < 5) return WrongFields(fields.count);
    Entry entry{.document = fields.words[2], .line = number};
    if (!absl::SimpleAtoi(ToAbsl(fields.words[3]), &entry.rank)) {
      return absl::InvalidArgumentError(absl::StrCat("the rank ", QuotedId(fields.words[3]),
                                                     " is not a whole number. Fields are query, Q0, document, rank, "
                                                     "score, tag: fix the line."));
    }
    if (!absl::SimpleAtod(ToAbsl(fields.words[4]), &entry.score)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the score ", QuotedId(fields.words[4]), " is not a number. Fix the line."));
    }
    if (!std::isfinite(entry.score)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the score of document ", QuotedId(entry.document), " is ", ToAbsl(fields.words[4]),
                       ", which has no place in a ranking. Fix the model that made it, or remove the line."));
    }
    const std::string_view query = fields.words[0];
    if (place >= queries_.size() || queries_[place].id != query) {
      const auto [found, is_new] = places_.try_emplace(query, queries_.size());
      if (is_new) queries_.push_back({query, {}});
      place = found->second;
    }
    queries_[place].entries.push_back(entry);
    return absl::OkStatus();
  });
}

absl::Status RunFile::Deduplicate(Duplicates duplicates) {
  const Entry *first = nullptr, *again = nullptr;  // the pair whose second line comes first in the file
  std::string_view query_id;
  absl::flat_hash_map<std::string_view, size_t> seen;
  for (Query& query : queries_) {
    seen.clear();
    std::vector<Entry> kept;
    for (const Entry& entry : query.entries) {
      const auto [found, is_new] = seen.try_emplace(entry.document, kept.size());
      if (is_new) {
        kept.push_back(entry);
      } else if (duplicates == Duplicates::kBest) {
        if (entry.score > kept[found->second].score) kept[found->second] = entry;
      } else if (again == nullptr || entry.line < again->line) {
        again = &entry;
        query_id = query.id;
        first = &*std::find_if(query.entries.begin(), query.entries.end(),
                               [&](const Entry& other) { return other.document == entry.document; });
      }
    }
    if (duplicates == Duplicates::kBest) query.entries = std::move(kept);
  }
  if (again == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      file_, ":", again->line, ": document ", QuotedId(again->document), " of query ", QuotedId(query_id),
      " is in line ", first->line, " already. Remove one, or let the best score count: --duplicates best."));
}

const RunFile::Query* RunFile::Find(std::string_view id) const {
  const auto found = places_.find(id);
  return found == places_.end() ? nullptr : &queries_[found->second];
}

std::vector<RunFile::Entry> Ranked(const RunFile::Query& query, RankingRule rule) {
  std::vector<RunFile::Entry> entries = query.entries;
  switch (rule) {
    case RankingRule::kMuster:
      std::sort(entries.begin(), entries.end(), [](const RunFile::Entry& a, const RunFile::Entry& b) {
        return std::tuple(-a.score, a.rank, a.line) < std::tuple(-b.score, b.rank, b.line);
      });
      break;
    case RankingRule::kTrecEval:
      std::sort(entries.begin(), entries.end(), [](const RunFile::Entry& a, const RunFile::Entry& b) {
        const float score = static_cast<float>(a.score), other = static_cast<float>(b.score);
        return score != other ? score > other : a.document > b.document;
      });
      break;
  }
  return entries;
}

bool RanksContradictScores(const RunFile::Query& query) {
  int32_t before = 0;
  bool first = true;
  for (const RunFile::Entry& entry : Ranked(query, RankingRule::kMuster)) {
    if (!first && entry.rank < before) return true;
    first = false;
    before = entry.rank;
  }
  return false;
}

}  // namespace muster
