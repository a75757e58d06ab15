#include "client/output.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "client/import_report.h"
#include "client/words.h"
#include "common/nearest_name.h"
#include "muster/v1/cluster.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {
namespace {

TEST(Table, AlignsColumns) {
  Table table({"NAME", "STATE"});
  table.Add({"a-long-name", "ready"});
  table.Add({"b", ""});
  EXPECT_EQ(table.Text(), "NAME         STATE\na-long-name  ready\nb\n");
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

TEST(ImportReportText, IsForPeople) {
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
      "  queries by number of positives: 1: 700, 2: 80, 3-4: 25, 9-16: 4\n"
      "  passages whose text is another's too: 0.00 %; hard negatives that are a positive of "
      "their own or another query: 0.00 %; empty texts: 0\n"
      "  bad records left out: 1\n"
      "    qrels/train.tsv:12: needs 3 tab-separated fields\n");
}

}  // namespace
}  // namespace muster
