#include "coordinator/data/plan/mining_edges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/files.h"
#include "coordinator/data/plan/evaluation_source.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {
namespace {

using muster::internal::v1::MiningEdges;
using testing::UnorderedElementsAre;

// Stores the dataset, because one in memory has no passage digests.
class MiningEdgesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeScratchFolder(testing::TempDir(), "edges").value();
    writer_ = DatasetWriter::Create(folder_).value();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Document(const std::string& id, const std::string& body, const std::string& title = "") {
    documents_[id] = writer_->AddDocument(id, writer_->AddPassage(title, body).value()).value();
  }
  void Query(const std::string& id, const std::string& text) { queries_[id] = writer_->AddQuery(id, text).value(); }
  void Judge(const std::string& query, const std::string& document, float grade = 1, uint16_t hard_negative = 0,
             const std::string& source = "human", const std::string& split = "train") {
    const uint32_t number = documents_.at(document);
    writer_->AddJudgment(split, queries_.at(query),
                         {.document = number,
                          .passage = writer_->passage_of(number),
                          .grade = grade,
                          .source = writer_->AddSource(source).value(),
                          .hard_negative = hard_negative});
  }
  // For each query of split train, by id: the ids of its positives or, if not `positives`, of its excluded documents.
  std::map<std::string, std::vector<std::string>> Rows(bool positives) {
    if (dataset_ == nullptr) {
      EXPECT_TRUE(writer_->Finish().ok());
      dataset_ = Dataset::Open(folder_).value();
    }
    const auto split = static_cast<uint32_t>(std::find(dataset_->splits().begin(), dataset_->splits().end(), "train") -
                                             dataset_->splits().begin());
    const std::vector<uint32_t> queries = EvaluatedQueries(*dataset_, split);
    const DocumentNumbering numbering = NumberDocuments(*dataset_);
    const MiningEdges edges = MakeMiningEdges(*dataset_, numbering, split, queries);
    const auto& offsets = positives ? edges.positive_offsets() : edges.excluded_offsets();
    const auto& numbers = positives ? edges.positives() : edges.excluded();
    EXPECT_EQ(offsets.size(), static_cast<int>(queries.size()) + 1);
    std::map<std::string, std::vector<std::string>> rows;
    for (size_t i = 0; i < queries.size(); ++i) {
      std::vector<std::string>& row = rows[std::string(dataset_->query_id(queries[i]))];
      for (uint32_t e = offsets[static_cast<int>(i)]; e < offsets[static_cast<int>(i) + 1]; ++e) {
        row.emplace_back(dataset_->document_id(numbering.documents[numbers[static_cast<int>(e)]]));
      }
      EXPECT_TRUE(std::is_sorted(numbers.begin() + offsets[static_cast<int>(i)],
                                 numbers.begin() + offsets[static_cast<int>(i) + 1]));
    }
    return rows;
  }

  std::filesystem::path folder_;
  std::unique_ptr<DatasetWriter> writer_;
  std::shared_ptr<const Dataset> dataset_;
  std::map<std::string, uint32_t> documents_, queries_;
};

TEST_F(MiningEdgesTest, ExcludeWhatTheSplitJudgesButNotWhatWasMinedOrAnotherSplitJudges) {
  for (const char* id : {"a", "b", "c", "d", "e", "f"}) Document(id, std::string("told ") + id);
  Query("q", "ask");
  Judge("q", "a", 2);
  Judge("q", "b", 0);
  Judge("q", "c", 1, kHardNegative);
  Judge("q", "d", 1, kIgnored);
  Judge("q", "e", 1, kHardNegative, "mined");
  Judge("q", "f", 1, 0, "human", "test");
  EXPECT_THAT(Rows(/*positives=*/true).at("q"), UnorderedElementsAre("a"));
  EXPECT_THAT(Rows(false).at("q"), UnorderedElementsAre("a", "b", "c", "d"));
}

TEST_F(MiningEdgesTest, NameTheDocumentThatIsEncodedForATextWithSeveralIds) {
  Document("a", "told  twice");
  Document("z", "told twice");
  Document("m", "told once");
  Query("q", "ask");
  Judge("q", "a");
  EXPECT_THAT(Rows(true).at("q"), UnorderedElementsAre("z")) << "ids are numbered in descending order";
  EXPECT_THAT(Rows(false).at("q"), UnorderedElementsAre("z"));
}

TEST_F(MiningEdgesTest, ExcludeTheQuerysOwnText) {
  Document("a", "how do I  reset it");  // equals the query's text in normal form
  Document("b", "how do I reset it", "a title");
  Document("q2", "what is it", "a title");
  Document("q3", "something else");
  Document("p", "the answer");
  Query("q1", "how do I reset it");
  Query("q2", "what is it");
  Query("q3", "whatever");
  for (const char* query : {"q1", "q2", "q3"}) Judge(query, "p");
  const auto rows = Rows(false);
  EXPECT_THAT(rows.at("q1"), UnorderedElementsAre("a", "p")) << "with a title it is another passage";
  EXPECT_THAT(rows.at("q2"), UnorderedElementsAre("q2", "p")) << "the query's id and text, whatever the title";
  EXPECT_THAT(rows.at("q3"), UnorderedElementsAre("p")) << "an equal id alone says nothing";
}

TEST_F(MiningEdgesTest, QueriesOfEqualTextExcludeEachOthersJudgments) {
  for (const char* id : {"a", "b", "c"}) Document(id, std::string("told ") + id);
  Query("q1", "ask me");
  Query("q2", "ask  me");
  Query("q3", "ask you");
  Judge("q1", "a");
  Judge("q2", "b");
  Judge("q3", "c");
  const auto rows = Rows(false);
  EXPECT_THAT(rows.at("q1"), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(rows.at("q2"), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(rows.at("q3"), UnorderedElementsAre("c"));
  EXPECT_THAT(Rows(true).at("q1"), UnorderedElementsAre("a")) << "its margins are by its own positives";
}

TEST_F(MiningEdgesTest, AQueryWithoutPositiveHasNone) {
  Document("a", "told");
  Query("q1", "ask");
  Query("q2", "ask more");
  Judge("q1", "a", 0);
  Judge("q2", "a");
  EXPECT_THAT(Rows(true).at("q1"), testing::IsEmpty());
}

}  // namespace
}  // namespace muster
