#include "coordinator/data/store/identical_ids.h"

#include <gtest/gtest.h>

#include "common/files.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {
namespace {

TEST(IdenticalIds, PairQueriesWithDocumentsByIdAndCompareTexts) {
  const auto folder = MakeScratchFolder(testing::TempDir(), "identical").value();
  const auto writer = DatasetWriter::Create(folder).value();
  const std::pair<const char*, const char*> documents[] = {{"", "red fish"}, {"Title", "blue birds"}, {"", "a bridge"}};
  for (const auto& [title, body] : documents) {
    const uint32_t passage = writer->AddPassage(title, body).value();
    writer->AddDocument(absl::StrCat("t", passage), passage).value();
  }
  writer->AddQuery("t0", "red  fish ").value();
  writer->AddQuery("t9", "a bridge").value();  // the text, but not the id
  writer->AddQuery("t2", "which bridge?").value();  // the id, but not the text
  writer->AddQuery("t1", "blue birds").value();     // the text without the title
  writer->AddSource("human").value();
  writer->AddJudgment("test", 0, {.document = 1, .passage = 1});
  ASSERT_TRUE(writer->Finish().ok());
  const auto dataset = Dataset::Open(folder).value();
  std::vector<std::tuple<uint32_t, uint32_t, bool>> pairs;
  for (const IdenticalId& pair : IdenticalIds(*dataset)) {
    pairs.emplace_back(pair.query, pair.document, IsSameText(*dataset, pair));
  }
  const std::vector<std::tuple<uint32_t, uint32_t, bool>> expected = {{0, 0, true}, {3, 1, true}, {2, 2, false}};
  EXPECT_EQ(pairs, expected);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace muster
