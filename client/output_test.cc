#include "client/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "client/import_report.h"
#include "client/sample_text.h"
#include "client/words.h"
#include "common/nearest_name.h"
#include "muster/v1/cluster.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {
namespace {

using testing::HasSubstr;

TEST(Table, AlignsColumns) {
  Table table({"NAME", "STATE"});
  table.Add({"a-long-name", "ready"});
  table.Add({"b", ""});
  EXPECT_EQ(table.Text(), "NAME         STATE\na-long-name  ready\nb\n");
}

TEST(Table, FitsTheTerminalByCuttingItsWidestCells) {
  Table table({"ID", "NAME", "REASON"});
  table.Add({"k3v9x0qa", "a-name-of-19-columns", "a reason that is longer than the others"});
  EXPECT_EQ(table.Text(40), "ID        NAME            REASON\nk3v9x0qa  a-name-of-19-…  a reason that…\n");
  EXPECT_EQ(table.Text(1000), table.Text()) << "nothing is cut without need";
  EXPECT_EQ(table.Text(5), "ID        NAME      REASON\nk3v9x0qa  a-name-…  a reaso…\n") << "readable, though wider";
}

TEST(Table, CountsColumnsNotBytes) {
  Table table({"NAME", "X"});
  table.Add({"größe", "1"});
  EXPECT_EQ(table.Text(), "NAME   X\ngröße  1\n");
  EXPECT_EQ(FitText("größe", 4), "grö…");
  EXPECT_EQ(FitText("größe", 5), "größe");
}

TEST(JsonText, KeepsNamesOfTheProtoAndDefaults) {
  muster::v1::ListWorkersResponse response;
  response.add_workers()->set_state(muster::v1::WORKER_STATE_READY);
  response.mutable_workers(0)->add_slots();
  const auto json = nlohmann::json::parse(JsonText(response));
  EXPECT_EQ(json["workers"][0]["state"], "WORKER_STATE_READY");
  EXPECT_EQ(json["workers"][0]["slots"].size(), 1);
  EXPECT_EQ(json["workers"][0]["device_name"], "");
  EXPECT_EQ(nlohmann::json::parse(JsonText(muster::v1::ListWorkersResponse()))["workers"].size(), 0);
}

TEST(YamlText, IsYaml) {
  const nlohmann::ordered_json value = {
      {"id", "j-1"}, {"list", {1, 2}}, {"empty", nlohmann::ordered_json::array()}, {"x", 0.5}, {"digits", "17"}};
  EXPECT_EQ(YamlText(value), "id: j-1\nlist:\n  - 1\n  - 2\nempty: []\nx: 0.5\ndigits: \"17\"\n");
}

TEST(Words, OfEnumerations) {
  EXPECT_EQ(WordOf(muster::v1::OBJECTIVE_JOINTLH_SUM), "jointlh_sum");
  EXPECT_EQ(WordOf(muster::v1::WORKER_STATE_DRAINING), "draining");
  EXPECT_EQ(WordOf(muster::v1::JOB_PHASE_SUCCEEDED), "succeeded");
}

TEST(Words, OfAges) {
  const absl::Time now = absl::FromUnixSeconds(1800000000);
  const auto age = [&](int64_t seconds) {
    google::protobuf::Timestamp time;
    time.set_seconds(1800000000 - seconds);
    return AgeText(time, now);
  };
  EXPECT_EQ(AgeText({}, now), "-");
  EXPECT_EQ(age(-30), "now") << "clocks differ a little";
  EXPECT_EQ(age(42), "42 s ago");
  EXPECT_EQ(age(60), "1 min ago");
  EXPECT_EQ(age(3599), "59 min ago");
  EXPECT_EQ(age(3600), "1 h ago");
  EXPECT_EQ(age(47 * 3600), "47 h ago");
  EXPECT_EQ(age(48 * 3600), "2 days ago");
  google::protobuf::Timestamp later;
  later.set_seconds(1800000000 + 3600);
  EXPECT_EQ(AgeText(later, now), TimeText(later));
}

TEST(Words, OfNumbers) {
  EXPECT_EQ(WithThousands(0), "0");
  EXPECT_EQ(WithThousands(30522), "30,522");
  EXPECT_EQ(WithThousands(1234567), "1,234,567");
  EXPECT_EQ(SizeText(999), "999 B");
  EXPECT_EQ(SizeText(90868376), "90.9 MB");
  EXPECT_EQ(SizeText(999999), "1.0 MB");
  EXPECT_EQ(DurationText(3.14), "3.1 s");
  EXPECT_EQ(DurationText(185), "3:05");
  EXPECT_EQ(DurationText(3723), "1:02:03");
  EXPECT_EQ(DurationText(-1), "-");
  EXPECT_EQ(Plural(1, "query"), "1 query");
  EXPECT_EQ(Plural(2000, "query"), "2,000 queries");
  EXPECT_EQ(Plural(0, "rank"), "0 ranks");
}

TEST(NearestName, KnowsWhenNothingIsNear) {
  EXPECT_EQ(NearestName("lse_pair", {"jointlh", "lsepair"}), "lsepair");
  EXPECT_EQ(NearestName("LSEPair", {"jointlh", "lsepair"}), "lsepair");
  EXPECT_EQ(NearestName("triplet", {"jointlh", "lsepair"}), "");
}

TEST(ImportReportText, ShowsCountsAndWarnings) {
  muster::v1::ImportReport report;
  report.set_schema("beir");
  auto& dataset = *report.mutable_dataset();
  dataset.set_name("scifact");
  dataset.set_digest("0123456789abcdef");
  dataset.set_queries(1109);
  dataset.set_passages(5183);
  dataset.set_unique_passages(5178);
  dataset.add_sources("human");
  auto& split = *dataset.add_splits();
  split.set_name("train");
  split.set_queries(809);
  split.set_positives(919);
  for (const auto& [positives, queries] :
       {std::pair(1, 700), std::pair(2, 80), std::pair(3, 20), std::pair(4, 5), std::pair(9, 4)}) {
    (*report.mutable_positives_per_query())[positives] = queries;
  }
  report.set_bad_records(1);
  report.add_bad_record_messages("qrels/train.tsv:12: needs 3 tab-separated fields");
  EXPECT_EQ(
      ImportReportText(report),
      "schema beir\n"
      "dataset scifact (0123456789ab): 1,109 queries, 5,183 passages (5,178 unique texts), 0 B\n"
      "  split train: 809 queries, 919 positives, 0 hard negatives\n"
      "  sources: human\n"
      "  positives   per query: 1: 700, 2: 80, 3-4: 25, 9-16: 4\n"
      "  duplicates  0.00 % of the passages have another's text\n"
      "  negatives   0.00 % of the hard negatives are a positive of their own or another query\n"
      "  warning: 1 bad record left out. Fix the lines below, and import again.\n"
      "    qrels/train.tsv:12: needs 3 tab-separated fields\n");
}

muster::v1::ImportReport FullReport() {
  muster::v1::ImportReport report;
  auto& dataset = *report.mutable_dataset();
  dataset.set_name("mine");
  dataset.set_queries(100);
  (*report.mutable_grades())["2"] = 3;
  (*report.mutable_grades())["10"] = 4;
  (*report.mutable_grades())["0"] = 5;
  (*report.mutable_sources())["<script>alert('x')</script>"] = 12;
  report.set_train_queries_in_test(7);
  report.set_false_negative_share(0.25);
  report.set_empty_texts(2);
  report.set_empty_queries(1);
  auto& queries = *report.mutable_query_tokens();
  queries.set_texts(200);
  queries.set_all_texts(1000);
  queries.set_truncated(50);
  queries.set_median(9);
  queries.set_percentile_95(70);
  queries.set_longest(301);
  queries.set_limit(64);
  report.add_notes("a & b");
  return report;
}

TEST(ImportReportText, NamesWhatShouldWorryAndWhatToDo) {
  const std::string text = ImportReportText(FullReport());
  EXPECT_THAT(text, HasSubstr("  grades      0: 5, 2: 3, 10: 4\n"));
  EXPECT_THAT(text, HasSubstr("  tokens      per query: median 9, 95 % up to 70, longest 301; longer than 64: 25.00 %\n"));
  EXPECT_THAT(text, HasSubstr("  warning: 25.00 % of the queries have more than 64 tokens and are cut there. Raise "
                              "model.max_length.query in the job"));
  EXPECT_THAT(text, HasSubstr("  warning: 7 queries of split train with the text of a query of another split"));
  EXPECT_THAT(text, HasSubstr("  warning: 25.00 % of the hard negatives are a positive of a query."));
  EXPECT_THAT(text, HasSubstr("  warning: 2 texts without a character (1 query of them)."));
  EXPECT_TRUE(ReportWarnings(muster::v1::ImportReport()).empty());
}

// Every figure of the report either has a warning or is listed as one without, so a new field needs a decision.
TEST(ImportReportText, EveryCountOfLostRecordsIsAWarning) {
  for (const char* field : {"bad_records", "empty_texts", "judgments_without_query", "judgments_without_document",
                            "queries_without_positive", "conflicting_judgments", "train_queries_in_test",
                            "replaced_characters"}) {
    muster::v1::ImportReport report;
    const auto* descriptor = muster::v1::ImportReport::descriptor()->FindFieldByName(field);
    ASSERT_NE(descriptor, nullptr) << field;
    report.GetReflection()->SetUInt64(&report, descriptor, 1);
    EXPECT_EQ(ReportWarnings(report).size(), 1u) << field;
  }
}

TEST(ImportReportHtml, IsOnePageThatRunsNothingOfTheData) {
  const std::string html = ImportReportHtml(FullReport());
  EXPECT_THAT(html, testing::StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(html, testing::EndsWith("</html>\n"));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
  EXPECT_THAT(html, HasSubstr("a &amp; b"));
  for (const char* foreign : {"<script", "http://", "https://", "src=", "@import", "url("}) {
    EXPECT_THAT(html, testing::Not(HasSubstr(foreign)));
  }
  for (const std::string& warning : ReportWarnings(FullReport())) EXPECT_THAT(html, HasSubstr(warning));
}

TEST(SampleText, WrapsCutsAndShowsNoControls) {
  EXPECT_EQ(Wrapped("one two three four five six seven eight nine", 40, 4, 3), "one two three four five six seven\n    eight nine");
  EXPECT_EQ(Wrapped(std::string(200, 'x'), 40, 0, 2), std::string(40, 'x') + "\n" + std::string(39, 'x') + "…");
  EXPECT_EQ(Wrapped("ä\x1b[31mred\n\tend \u009b5m", 40, 0, 2), "ä [31mred end 5m");
  std::string wide;
  for (int i = 0; i < 41; ++i) wide += "ü";
  EXPECT_EQ(Wrapped(wide, 40, 0, 2).size(), 41u * 2 + 1) << "characters are counted, and stay whole";
  EXPECT_EQ(Wrapped("", 40, 4, 3), "");
}

}  // namespace
}  // namespace muster
