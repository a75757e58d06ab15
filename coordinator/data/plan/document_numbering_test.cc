#include "coordinator/data/plan/document_numbering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "coordinator/data/plan/testing/fake_dataset.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::vector<std::string> IdsInOrder(const FakeDataset& dataset) {
  std::vector<std::string> ids;
  for (const uint32_t document : NumberDocuments(dataset).documents) ids.emplace_back(dataset.document_id(document));
  return ids;
}

TEST(DocumentNumbering, ComparesIdsByteByByte) {
  FakeDataset dataset;
  for (const char* id : {"10", "9", "\xC3\xA9", "b"}) dataset.Document(id, id);
  EXPECT_THAT(IdsInOrder(dataset), ElementsAre("\xC3\xA9", "b", "9", "10"));
}

TEST(DocumentNumbering, TellsIdsApartThatDifferLate) {
  FakeDataset dataset;
  for (const char* id : {"doc-00000000-1", "doc-00000000-2", "doc-0000000", "doc-00000000-10"}) dataset.Document(id, id);
  EXPECT_THAT(IdsInOrder(dataset), ElementsAre("doc-00000000-2", "doc-00000000-10", "doc-00000000-1", "doc-0000000"));
}

TEST(DocumentNumbering, NamesTheFirstDocumentOfAText) {
  FakeDataset dataset;
  for (const char* id : {"a", "b", "c", "d"}) dataset.Document(id, std::string(id) == "c" ? "other" : "same");
  const DocumentNumbering numbering = NumberDocuments(dataset);  // d 0, c 1, b 2, a 3
  EXPECT_THAT(numbering.aliases, ElementsAre(Pair(2, 0), Pair(3, 0)));
}

TEST(DocumentNumbering, OfNoDocumentIsEmpty) {
  EXPECT_TRUE(NumberDocuments(FakeDataset()).documents.empty());
}

RC_GTEST_PROP(DocumentNumbering, IsTheOrderOfIds, ()) {
  FakeDataset dataset;
  const auto prefix = *rc::gen::arbitrary<std::string>();
  const auto ids = *rc::gen::arbitrary<std::set<std::string>>();
  for (const std::string& id : ids) dataset.Document(prefix + id, "w");
  std::vector<std::string> expected;
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) expected.push_back(prefix + *id);
  RC_ASSERT(IdsInOrder(dataset) == expected);
  const DocumentNumbering numbering = NumberDocuments(dataset);
  for (uint32_t number = 0; number < ids.size(); ++number) {
    RC_ASSERT(numbering.numbers[numbering.documents[number]] == number);
  }
}

}  // namespace
}  // namespace muster
