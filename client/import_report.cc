#include "client/import_report.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/words.h"

namespace muster {
namespace {

// "1: 700, 2: 80, 3-4: 12, 5-8: 1": small counts apart, the rest in ranges that double.
std::string HistogramText(const google::protobuf::Map<uint32_t, uint64_t>& positives_per_query) {
  std::map<uint32_t, std::pair<uint32_t, uint64_t>> ranges;  // first → last, queries
  for (const auto& [positives, queries] : positives_per_query) {
    uint32_t first = positives, last = positives;
    if (positives > 2) {
      last = 4;
      while (last < positives) last *= 2;
      first = last / 2 + 1;
    }
    ranges[first].first = last;
    ranges[first].second += queries;
  }
  std::vector<std::string> parts;
  for (const auto& [first, range] : ranges) {
    const std::string name = first == range.first ? absl::StrCat(first) : absl::StrCat(first, "-", range.first);
    parts.push_back(absl::StrCat(name, ": ", WithThousands(range.second)));
  }
  return absl::StrJoin(parts, ", ");
}

std::string PercentText(double share) { return absl::StrFormat("%.2f %%", 100 * share); }

}  // namespace

std::string DatasetText(const muster::v1::Dataset& dataset) {
  std::string text =
      absl::StrCat("dataset ", dataset.name(), " (", dataset.digest().substr(0, 12),
                   "): ", Plural(dataset.queries(), "query"), ", ", Plural(dataset.passages(), "passage"), " (",
                   Plural(dataset.unique_passages(), "unique text"), "), ", SizeText(dataset.bytes()), "\n");
  for (const auto& split : dataset.splits()) {
    absl::StrAppend(&text, "  split ", split.name(), ": ", Plural(split.queries(), "query"), ", ",
                    Plural(split.positives(), "positive"), ", ", Plural(split.negatives(), "hard negative"), "\n");
  }
  absl::StrAppend(&text, "  sources: ", absl::StrJoin(dataset.sources(), ", "), "\n");
  if (!dataset.owner().empty()) absl::StrAppend(&text, "  owner: ", dataset.owner(), "\n");
  return text;
}

std::string ImportReportText(const muster::v1::ImportReport& report) {
  std::string text = absl::StrCat("schema ", report.schema(), "\n", DatasetText(report.dataset()));
  absl::StrAppend(&text, "  queries by number of positives: ", HistogramText(report.positives_per_query()), "\n");
  absl::StrAppend(&text, "  passages whose text is another's too: ", PercentText(report.duplicate_share()),
                  "; hard negatives that are a positive of their own or another query: ",
                  PercentText(report.false_negative_share()), "; empty texts: ", WithThousands(report.empty_texts()),
                  "\n");
  for (const std::string& note : report.notes()) absl::StrAppend(&text, "  note: ", note, "\n");
  if (report.bad_records() > 0) {
    absl::StrAppend(&text, "  bad records left out: ", WithThousands(report.bad_records()), "\n");
    for (const std::string& message : report.bad_record_messages()) absl::StrAppend(&text, "    ", message, "\n");
  }
  return text;
}

}  // namespace muster
