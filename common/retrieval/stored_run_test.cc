#include "common/retrieval/stored_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace muster {
namespace {

using testing::HasSubstr;

// "0: 7=1.5 3=-2; 4:; "
absl::StatusOr<std::string> TextOf(std::string_view bytes) {
  std::string text;
  const absl::Status status = ForEachRanking(bytes, [&](const StoredRanking& ranking) {
    absl::StrAppend(&text, ranking.query, ":");
    for (size_t i = 0; i < ranking.documents.size(); ++i) {
      absl::StrAppend(&text, " ", ranking.documents[i], "=", ranking.scores[i]);
    }
    text += "; ";
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return text;
}

class StoredRun : public testing::Test {
 protected:
  StoredRun() : folder_(*MakeScratchFolder(testing::TempDir(), "run")) {}
  ~StoredRun() override { std::filesystem::remove_all(folder_); }
  const std::filesystem::path folder_;
};

TEST_F(StoredRun, ReadsWhatWasWritten) {
  StoredRunWriter writer(folder_ / kStoredRunFile);
  writer.Add(0, std::vector<uint32_t>{7, 3}, std::vector<float>{1.5f, -2});
  writer.Add(4, {}, {});
  writer.Add(5, std::vector<uint32_t>{4294967295u}, std::vector<float>{0});
  ASSERT_TRUE(writer.Finish().ok());
  const auto bytes = ReadFile(folder_ / kStoredRunFile);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(bytes->size(), 8 + 3 * 8 + 3 * 8);
  EXPECT_EQ(*TextOf(*bytes), "0: 7=1.5 3=-2; 4:; 5: 4294967295=0; ");
}

TEST_F(StoredRun, RefusesEveryBeginningOfAFileThatEndsWithinARanking) {
  StoredRunWriter writer(folder_ / kStoredRunFile);
  writer.Add(2, std::vector<uint32_t>{7, 3}, std::vector<float>{1.5f, -2});
  ASSERT_TRUE(writer.Finish().ok());
  const std::string bytes = *ReadFile(folder_ / kStoredRunFile);
  for (size_t size = 0; size < bytes.size(); ++size) {
    if (size == kStoredRunMagic.size()) continue;  // a run without queries
    EXPECT_TRUE(absl::IsDataLoss(TextOf(std::string_view(bytes).substr(0, size)).status())) << size;
  }
  EXPECT_THAT(std::string(TextOf(bytes.substr(0, bytes.size() - 1)).status().message()), HasSubstr("of query 2"));
  EXPECT_TRUE(absl::IsDataLoss(TextOf(absl::StrCat(kStoredRunMagic.data(), std::string(8, '\xff'))).status()))
      << "a huge length";
}

TEST_F(StoredRun, AFileThatCannotBeWrittenIsNamed) {
  StoredRunWriter writer(folder_ / "absent" / kStoredRunFile);
  writer.Add(0, std::vector<uint32_t>{7}, std::vector<float>{1});
  EXPECT_THAT(std::string(writer.Finish().message()), HasSubstr("absent/report_run.bin"));
}

}  // namespace
}  // namespace muster
