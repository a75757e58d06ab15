// The sets of shared/data, compared with the counts in their README files.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "common/files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/import/importer.h"
#include "test_paths.h"

namespace muster {
namespace {

struct Expected {
  const char* name;
  uint64_t documents, queries;
  std::map<std::string, std::pair<uint64_t, uint64_t>> splits;  // queries, positives
};

class RealData : public testing::TestWithParam<Expected> {};

TEST_P(RealData, HasTheCountsOfItsReadme) {
  const Expected& expected = GetParam();
  const auto source = std::filesystem::path(MUSTER_SOURCE_DIR) / "../shared/data" / expected.name;
  if (!std::filesystem::exists(source)) GTEST_SKIP() << "left out: " << source << " does not exist";
  const auto folder = MakeScratchFolder(testing::TempDir(), "real").value();
  muster::v1::ImportHeader header;
  header.set_name(expected.name);
  const auto importer = Importer::Create(header, folder).value();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source)) {
    if (!entry.is_regular_file()) continue;
    ASSERT_TRUE(importer->BeginFile(entry.path().lexically_relative(source).string()).ok());
    const auto file = MappedFile::Open(entry.path()).value();
    for (size_t at = 0; at < file.size(); at += 1 << 20) {
      ASSERT_TRUE(importer->Chunk(file.bytes().substr(at, 1 << 20)).ok());
    }
  }
  const auto report = importer->Finish().value();
  EXPECT_EQ(report.dataset().passages(), expected.documents);
  EXPECT_EQ(report.dataset().queries(), expected.queries);
  ASSERT_EQ(static_cast<size_t>(report.dataset().splits_size()), expected.splits.size());
  for (const auto& split : report.dataset().splits()) {
    EXPECT_EQ(split.queries(), expected.splits.at(split.name()).first) << split.name();
    EXPECT_EQ(split.positives(), expected.splits.at(split.name()).second) << split.name();
  }
  const auto dataset = Dataset::Open(folder).value();
  EXPECT_EQ(dataset->digest(), report.dataset().digest());
  EXPECT_EQ(dataset->documents(), expected.documents);
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(
    Sets, RealData,
    testing::Values(Expected{"banking77-intent", 1485, 9673,
                             {{"train", {7715, 152004}}, {"dev", {803, 15820}}, {"test", {1155, 22275}}}},
                    Expected{"pubmedqa", 3358, 1000, {{"train", {453, 1519}}, {"dev", {47, 150}}, {"test", {500, 1689}}}},
                    Expected{"scifact", 5183, 1109, {{"train", {728, 827}}, {"dev", {81, 92}}, {"test", {300, 339}}}}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace muster
