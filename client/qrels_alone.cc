#include "client/qrels_alone.h"

#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/split_name.h"
#include "common/status.h"

namespace muster {
namespace {

// Its first line is one of BEIR's qrels (three fields between tabs, the last a number or the header's word) or of
// TREC's (four fields, the second 0 or Q0, the last a number). A pipe is not examined, because the import can read it
// only once.
bool HoldsQrels(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return false;
  std::ifstream in(file, std::ios::binary);
  std::string line(1024, '\0');
  in.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(in.gcount());
  const absl::string_view first = absl::StripAsciiWhitespace(absl::string_view(line).substr(0, line.find('\n')));
  const std::vector<absl::string_view> trec = absl::StrSplit(first, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  const std::vector<absl::string_view> fields = absl::StrSplit(first, '\t');
  float score = 0;
  if (trec.size() == 4 && (trec[1] == "0" || absl::AsciiStrToLower(trec[1]) == "q0") && absl::SimpleAtof(trec[3], &score)) {
    return true;
  }
  return fields.size() == 3 && (absl::SimpleAtof(fields[2], &score) || absl::AsciiStrToLower(fields[2]) == "score");
}

}  // namespace

absl::Status NameQrels(const std::function<absl::StatusOr<std::vector<std::string>>()>& splits_of_dataset,
                       ImportPlan& plan) {
  for (ImportSource& source : plan.sources) {
    const bool named = absl::StartsWith(source.name, "qrels/") || absl::StrContains(source.name, "/qrels/");
    if (named || !HoldsQrels(source.file)) continue;
    std::string split = source.split.empty() ? plan.split : source.split;
    if (split.empty()) {
      ASSIGN_OR_RETURN(split, SplitNamedBy(source.name));  // PlanImport has checked it against --split
    }
    if (split.empty()) {
      ASSIGN_OR_RETURN(const std::vector<std::string> splits, splits_of_dataset());
      if (splits.size() != 1) {
        return absl::InvalidArgumentError(absl::StrCat(source.file.string(),
                                                       ": nothing says which split these judgments are of. Add --split, "
                                                       "for one of: ",
                                                       absl::StrJoin(splits, ", "), "."));
      }
      split = splits[0];
    }
    source.name = absl::StrCat(source.name, "/qrels/", split, ".tsv");
    source.split = split;
  }
  return absl::OkStatus();
}

}  // namespace muster
