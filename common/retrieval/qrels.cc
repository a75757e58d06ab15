#include "common/retrieval/qrels.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/retrieval/text_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

bool IsGrade(absl::string_view text, float& grade) { return absl::SimpleAtof(text, &grade) && std::isfinite(grade); }

}  // namespace

absl::StatusOr<Qrels> Qrels::Read(const std::string& file) {
  Qrels qrels;
  qrels.file_ = file;
  ASSIGN_OR_RETURN(std::string text, ReadTextFile(file));
  qrels.text_ = std::make_unique<std::string>(std::move(text));
  RETURN_IF_ERROR(qrels.Parse());
  if (qrels.queries_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": has a header and no judgments. Is it complete?"));
  }
  return qrels;
}

absl::Status Qrels::Parse() {
  enum class Format { kUnknown, kTrec, kBeir } format = Format::kUnknown;
  absl::flat_hash_map<std::pair<size_t, std::string_view>, uint32_t> lines;
  return ForEachLine(file_, *text_, [&](std::string_view line, uint32_t number) -> absl::Status {
    const std::vector<absl::string_view> tabbed = absl::StrSplit(ToAbsl(line), '\t');
    const std::vector<absl::string_view> words = absl::StrSplit(ToAbsl(line), absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (format == Format::kUnknown) {
      format = words.size() == 4 ? Format::kTrec : Format::kBeir;
      float ignored = 0;
      if (tabbed.size() == 3 && !IsGrade(tabbed[2], ignored) && absl::AsciiStrToLower(tabbed[2]) == "score") {
        format = Format::kBeir;
        return absl::OkStatus();  // BEIR's header: query-id, corpus-id, score
      }
    }
    const std::vector<absl::string_view>& fields = format == Format::kTrec ? words : tabbed;
    const size_t expected = format == Format::kTrec ? 4 : 3;
    if (fields.size() != expected) {
      return absl::InvalidArgumentError(
          words.size() >= 5
              ? absl::StrCat("has ", words.size(), " fields: is this a run? Judgments have 4 (query, iteration, document, "
                             "grade), or 3 between tabs (query, document, grade).")
              : absl::StrCat("has ", fields.size(), " fields instead of ", expected,
                             format == Format::kTrec ? " (query, iteration, document, grade). Fix the line."
                                                     : " between tabs (query, document, grade). Fix the line."));
    }
    const std::string_view query = ToStd(fields[0]), document = ToStd(fields[expected - 2]);
    if (query.empty() || document.empty()) {
      return absl::InvalidArgumentError("the query or the document has no id. Fix the line.");
    }
    float grade = 0;
    if (!IsGrade(fields[expected - 1], grade)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the grade ", QuotedId(ToStd(fields[expected - 1])), " is not a number. Fix the line."));
    }
    const auto [place, is_new] = places_.try_emplace(query, queries_.size());
    if (is_new) queries_.push_back({query, {}});
    Query& judged = queries_[place->second];
    const auto [known, first] = judged.grades.try_emplace(document, grade);
    const auto [seen, is_first] = lines.try_emplace({place->second, document}, number);
    if (!first && known->second != grade) {
      return absl::InvalidArgumentError(absl::StrCat("document ", QuotedId(document), " of query ", QuotedId(query),
                                                     " has the grade ", grade, " here and ", known->second, " in line ",
                                                     seen->second, ". Remove one."));
    }
    return absl::OkStatus();
  });
}

const Qrels::Query* Qrels::Find(std::string_view id) const {
  const auto found = places_.find(id);
  return found == places_.end() ? nullptr : &queries_[found->second];
}

}  // namespace muster
