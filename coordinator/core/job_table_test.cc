#include "coordinator/core/job_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"

namespace muster {
namespace {

using journal::v1::JobRecord;

std::string IdOf(uint32_t number) { return absl::StrCat("job", number); }

JobRecord RecordNumber(uint32_t number) {
  JobRecord record;
  record.mutable_job()->set_id(IdOf(number));
  record.mutable_job()->mutable_spec()->set_name(absl::StrCat("a name of more than fifteen bytes ", number));
  record.mutable_job()->mutable_spec()->mutable_resources()->set_priority(0);  // set, though it is the default
  record.set_sequence(number);
  return record;
}

void SettleAll(JobTable& table) {
  for (size_t i = 0; i <= table.size(); ++i) table.Settle(0);
}

std::map<std::string, std::string> BytesOf(const JobTable& table) {
  std::map<std::string, std::string> all;
  for (const auto& [id, record] : table) all[id] = DeterministicBytes(record);
  return all;
}

TEST(JobTable, SettlingChangesNothingThatCanBeSeen) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  JobTable table;
  std::map<std::string, JobRecord> expected;
  for (int i = 0; i < 5000; ++i) {
    const uint32_t number = random() % 100;
    const std::string id = IdOf(number);
    switch (random() % 6) {
      case 0: table[id] = expected[id] = RecordNumber(number); break;
      case 1:
        ASSERT_EQ(table.Mutable(id) == nullptr, !expected.contains(id));
        if (expected.contains(id)) {
          table.Mutable(id)->set_sequence(static_cast<uint64_t>(i));
          expected.at(id).set_sequence(static_cast<uint64_t>(i));
        }
        break;
      case 2:
        table.erase(id);
        expected.erase(id);
        break;
      case 3:
        ASSERT_EQ(table.Find(id) == nullptr, !expected.contains(id));
        if (expected.contains(id)) {
          ASSERT_EQ(DeterministicBytes(std::as_const(table).at(id)), DeterministicBytes(expected.at(id)));
        }
        break;
      case 4:
        if (expected.contains(id)) {
          table.at(id).mutable_running()->set_number(1);
          expected.at(id).mutable_running()->set_number(1);
        }
        break;
      case 5: table.Settle(random() % 20); break;
    }
  }
  std::map<std::string, std::string> bytes;
  for (const auto& [id, record] : expected) bytes[id] = DeterministicBytes(record);
  const JobTable copy = table;
  SettleAll(table);
  EXPECT_EQ(BytesOf(table), bytes);
  EXPECT_EQ(BytesOf(copy), bytes) << "a copy has its own records";
}

TEST(JobTable, AReferenceLastsUntilTheNextSettle) {
  JobTable table;
  for (uint32_t i = 0; i < 1000; ++i) table[IdOf(i)] = RecordNumber(i);
  SettleAll(table);
  const JobRecord& first = std::as_const(table).at(IdOf(0));
  for (uint32_t i = 1; i < 1000; ++i) std::as_const(table).at(IdOf(i));
  EXPECT_EQ(&first, table.Find(IdOf(0)));
  EXPECT_EQ(first.sequence(), 0);
}

TEST(JobTable, ARecordWithARunningAttemptStaysAMessage) {
  JobTable table;
  table["runs"] = RecordNumber(1);
  table["runs"].mutable_running()->set_number(1);
  const JobRecord* const record = table.Find("runs");
  SettleAll(table);
  EXPECT_EQ(table.Find("runs"), record);
}

TEST(JobTable, ATextThatIsNotUtf8IsKeptUnchanged) {
  JobTable table;
  table["odd"].mutable_job()->set_reason("\xff");
  SettleAll(table);
  EXPECT_EQ(std::as_const(table).at("odd").job().reason(), "\xff");
}

TEST(JobTable, ErasesWhatAPredicateSays) {
  JobTable table;
  for (uint32_t i = 0; i < 10; ++i) table[IdOf(i)] = RecordNumber(i);
  SettleAll(table);
  erase_if(table, [](const auto& job) { return job.second.sequence() % 2 == 0; });
  EXPECT_EQ(table.size(), 5);
  EXPECT_FALSE(table.contains(IdOf(0)));
  EXPECT_EQ(table.begin()->first, IdOf(1));
  EXPECT_EQ(table.lower_bound("job4")->second.sequence(), 5);
}

}  // namespace
}  // namespace muster
