#include "common/rpc/access/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/files.h"

namespace muster {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class AuditTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "audit").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::vector<nlohmann::json> Lines(const std::string& name = "audit.jsonl") {
    std::vector<nlohmann::json> lines;
    for (const auto line : absl::StrSplit(ReadFile(folder_ / name).value(), '\n', absl::SkipEmpty())) {
      lines.push_back(nlohmann::json::parse(std::string(line)));
    }
    return lines;
  }
  static AuditRecord Cancelled(absl::Time time = kNow) {
    return {time, {Role::kOperator, "ana", Proof::kToken}, "ipv4:10.0.0.1:99", "JobService/CancelJob", "j1", "r-1",
            "OK"};
  }
  static AuditRecord Stranger(absl::Time time) {
    return {.time = time,
            .method = "JobService/SubmitJob",
            .outcome = "UNAUTHENTICATED",
            .detail = "who?",
            .refused = true};
  }
  std::filesystem::path folder_;
};

TEST_F(AuditTest, ALineSaysWhoDidWhatWhenAndHowItEnded) {
  AuditLog::Open(folder_).value()->Write(Cancelled());
  AuditLog::Open(folder_).value()->Write(Stranger(kNow));
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u) << "a restart continues the file";
  EXPECT_EQ(lines[0], nlohmann::json({{"time", "2027-01-15T08:00:00.000Z"},
                                      {"user", "ana"},
                                      {"role", "operator"},
                                      {"proof", "token"},
                                      {"peer", "ipv4:10.0.0.1:99"},
                                      {"method", "JobService/CancelJob"},
                                      {"subject", "j1"},
                                      {"outcome", "OK"},
                                      {"request_id", "r-1"}}));
  EXPECT_EQ(lines[1]["detail"], "who?");
}

TEST_F(AuditTest, TextOfAnUnknownCallerStaysOneLine) {
  AuditRecord record = Cancelled();
  record.subject = "a\nb\"},{\xff";
  record.detail = std::string(5000, 'x');
  AuditLog::Open(folder_).value()->Write(record);
  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_EQ(Lines()[0]["subject"], "a\nb\"},{\xEF\xBF\xBD");
  EXPECT_EQ(Lines()[0]["detail"].get<std::string>().size(), 512u);
}

TEST_F(AuditTest, RotatesBySizeAndKeepsTheNewest) {
  const auto log = AuditLog::Open(folder_, AlwaysRoom(), 600, 3).value();
  for (int i = 0; i < 40; ++i) {
    AuditRecord record = Cancelled();
    record.subject = std::to_string(i);
    log->Write(record);
  }
  std::vector<std::string> subjects;
  for (const char* name : {"audit.3.jsonl", "audit.2.jsonl", "audit.1.jsonl", "audit.jsonl"}) {
    EXPECT_LE(std::filesystem::file_size(folder_ / name), 600u);
    for (const auto& line : Lines(name)) subjects.push_back(line["subject"]);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "audit.4.jsonl"));
  ASSERT_GE(subjects.size(), 8u);
  for (size_t i = 0; i < subjects.size(); ++i) EXPECT_EQ(subjects[i], std::to_string(40 - subjects.size() + i));
}

TEST_F(AuditTest, SaysHowManyLinesAFullDiskLeftOut) {
  bool room = false;
  const auto log = AuditLog::Open(folder_, [&room] { return room; }).value();
  for (int i = 0; i < 3; ++i) log->Write(Cancelled());
  EXPECT_TRUE(Lines().empty());
  room = true;
  for (int i = 0; i < 2; ++i) log->Write(Cancelled());
  ASSERT_EQ(Lines().size(), 2u);
  EXPECT_EQ(Lines()[0]["lines_left_out"], 3);
  EXPECT_FALSE(Lines()[1].contains("lines_left_out"));
}

TEST_F(AuditTest, UnknownCallersCannotDisplaceTheLinesOfOthers) {
  const auto log = AuditLog::Open(folder_).value();
  for (int i = 0; i < 10000; ++i) log->Write(Stranger(kNow));
  log->Write(Cancelled());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 101u);
  EXPECT_EQ(lines.back()["user"], "ana");
  EXPECT_EQ(lines.back()["refusals_left_out"], 9900);
}

}  // namespace
}  // namespace muster
