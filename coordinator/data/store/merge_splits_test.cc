#include "coordinator/data/store/merge_splits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "common/files.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// A judgment by the ids and texts that the user sees.
struct Row {
  std::string split, query, document;
  bool hard_negative = false;
  float score = kNoScore;
};

class MergeSplitsTest : public testing::Test {
 protected:
  using Texts = std::vector<std::pair<std::string, std::string>>;  // id, text

  void SetUp() override { root_ = MakeScratchFolder(testing::TempDir(), "merge").value(); }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::shared_ptr<const Dataset> Make(const Texts& documents, const Texts& queries, const std::vector<Row>& rows,
                                      const std::string& source = "human") {
    const auto folder = MakeScratchFolder(root_, "set").value();
    const auto writer = DatasetWriter::Create(folder).value();
    std::map<std::string, uint32_t> document_of, query_of;
    for (const auto& [id, text] : documents) {
      document_of[id] = writer->AddDocument(id, writer->AddPassage("", text).value()).value();
    }
    for (const auto& [id, text] : queries) query_of[id] = writer->AddQuery(id, text).value();
    const uint16_t from = writer->AddSource(source).value();
    for (const Row& row : rows) {
      const uint32_t document = document_of.at(row.document);
      writer->AddJudgment(row.split, query_of.at(row.query),
                          {.document = document,
                           .passage = writer->passage_of(document),
                           .grade = 2,
                           .source = from,
                           .hard_negative = row.hard_negative},
                          row.score);
    }
    EXPECT_TRUE(writer->Finish().ok());
    return Dataset::Open(folder).value();
  }

  // Rows without ids: query text → texts of its positives.
  std::shared_ptr<const Dataset> Rows(
      const std::map<std::string, std::vector<std::pair<std::string, std::string>>>& splits) {
    Texts documents, queries;
    std::vector<Row> rows;
    const auto id_of = [](Texts& texts, char letter, const std::string& text) {
      for (const auto& [id, known] : texts) {
        if (known == text) return id;
      }
      texts.emplace_back(absl::StrCat(std::string(1, letter), texts.size() + 1), text);
      return texts.back().first;
    };
    for (const auto& [split, pairs] : splits) {
      for (const auto& [query, text] : pairs) {
        rows.push_back({split, id_of(queries, 'q', query), id_of(documents, 'p', text)});
      }
    }
    return Make(documents, queries, rows);
  }

  absl::StatusOr<std::shared_ptr<const Dataset>> Merge(const Dataset& fresh, const Dataset& old,
                                                       const std::vector<std::string>& kept) {
    const auto folder = MakeScratchFolder(root_, "merged").value();
    const auto writer = DatasetWriter::Create(folder).value();
    if (absl::Status status = MergeSplits(fresh, old, kept, *writer); !status.ok()) return status;
    EXPECT_TRUE(writer->Finish().ok());
    return Dataset::Open(folder);
  }

  // "split: query → text", only by texts.
  static std::multiset<std::string> Meaning(const Dataset& dataset) {
    std::multiset<std::string> rows;
    for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
      for (uint32_t query = 0; query < dataset.queries(); ++query) {
        for (const Judgment& judgment : dataset.judgments(split, query)) {
          rows.insert(absl::StrCat(dataset.splits()[split], ": ", std::string(dataset.query_text(query)),
                                   judgment.hard_negative ? " -> not " : " -> ",
                                   std::string(dataset.body(judgment.passage))));
          EXPECT_EQ(dataset.passage_of(judgment.document), judgment.passage);
          EXPECT_EQ(judgment.grade, 2.0f);
        }
      }
    }
    return rows;
  }
  static std::vector<std::string> DocumentIds(const Dataset& dataset) {
    std::vector<std::string> ids;
    for (uint32_t i = 0; i < dataset.documents(); ++i) ids.emplace_back(dataset.document_id(i));
    return ids;
  }
  static std::vector<std::string> Documents(const Dataset& dataset) {
    std::vector<std::string> texts;
    for (uint32_t i = 0; i < dataset.documents(); ++i) texts.emplace_back(dataset.body(dataset.passage_of(i)));
    return texts;
  }

  std::filesystem::path root_;
};

TEST_F(MergeSplitsTest, RowsAreAsIfTheFilesOfAllSplitsHadComeTogether) {
  const auto old = Rows({{"test", {{"a", "one"}, {"b", "two"}}}, {"train", {{"c", "gone"}, {"a", "shared"}}}});
  const auto fresh = Rows({{"train", {{"d", "new"}, {"b", "two"}, {"e", "four"}}}});
  const auto merged = Merge(*fresh, *old, {"test"}).value();
  const auto together =
      Rows({{"train", {{"d", "new"}, {"b", "two"}, {"e", "four"}}}, {"test", {{"a", "one"}, {"b", "two"}}}});
  EXPECT_EQ(Meaning(*merged), Meaning(*together));
  EXPECT_EQ(merged->queries(), together->queries()) << "rows of one query text are one query";
  const auto texts = Documents(*merged), expected = Documents(*together);
  EXPECT_EQ(std::multiset<std::string>(texts.begin(), texts.end()),
            std::multiset<std::string>(expected.begin(), expected.end()));
}

TEST_F(MergeSplitsTest, TheSplitsThatStayKeepTheirMeaningThroughManyReplacements) {
  auto dataset = Rows({{"test", {{"a", "one"}, {"b", "two"}}}, {"train", {{"c", "three"}}}});
  for (int round = 0; round < 5; ++round) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (int i = 0; i <= (round * 7) % 5; ++i)
      pairs.emplace_back(absl::StrCat("x", round, i), absl::StrCat("y", round, i));
    const auto merged = Merge(*Rows({{"train", pairs}}), *dataset, {"test"}).value();
    EXPECT_EQ(Meaning(*merged).count("test: a -> one"), 1u);
    EXPECT_EQ(Meaning(*merged).count("test: b -> two"), 1u);
    EXPECT_EQ(merged->documents(), pairs.size() + 2) << "nothing of replaced rows stays";
    EXPECT_EQ(merged->queries(), pairs.size() + 2);
    const auto ids = DocumentIds(*merged);
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size()) << "ids are unique";
    dataset = merged;
  }
}

TEST_F(MergeSplitsTest, TheCorpusOfTheUserStaysWhole) {
  const auto old = Make({{"d1", "one"}, {"d2", "never judged"}, {"d3", "of train alone"}}, {{"a", "q"}, {"b", "r"}},
                        {{"test", "a", "d1"}, {"train", "b", "d3"}}, "llm");
  const auto fresh = Make({{"d1", "one"}, {"d9", "nine"}}, {{"a", "q"}, {"c", "s"}}, {{"train", "c", "d9"}});
  const auto merged = Merge(*fresh, *old, {"test"}).value();
  EXPECT_THAT(DocumentIds(*merged), ElementsAre("d1", "d9", "d2", "d3"));
  EXPECT_EQ(merged->queries(), 2u) << "\"a\" is one query, and \"b\" no longer belongs to any split";
  EXPECT_EQ(Meaning(*merged), (std::multiset<std::string>{"test: q -> one", "train: s -> nine"}));
  EXPECT_THAT(merged->sources(), UnorderedElementsAre("human", "llm"));
}

TEST_F(MergeSplitsTest, RefusesAnIdOfTheUserWithTwoTexts) {
  const auto old = Make({{"d1", "one"}}, {{"a", "q"}}, {{"test", "a", "d1"}});
  const auto other_document = Make({{"d1", "another"}}, {{"b", "r"}}, {{"train", "b", "d1"}});
  EXPECT_THAT(std::string(Merge(*other_document, *old, {"test"}).status().message()),
              HasSubstr("document \"d1\" of a split that stays has another text"));
  const auto other_query = Make({{"d1", "one"}}, {{"a", "r"}}, {{"train", "a", "d1"}});
  EXPECT_THAT(std::string(Merge(*other_query, *old, {"test"}).status().message()), HasSubstr("query \"a\""));
}

TEST_F(MergeSplitsTest, RowsAndACorpusGoTogether) {
  const auto rows = Rows({{"train", {{"a", "one"}, {"b", "two"}}}});
  const auto corpus = Make({{"x", "one"}, {"p1", "three"}}, {{"q1", "c"}}, {{"test", "q1", "p1"}});
  const auto merged = Merge(*corpus, *rows, {"train"}).value();
  EXPECT_EQ(Meaning(*merged), (std::multiset<std::string>{"test: c -> three", "train: a -> one", "train: b -> two"}));
  EXPECT_THAT(DocumentIds(*merged), ElementsAre("x", "p1", "p3")) << "\"one\" has a name already";
}

}  // namespace
}  // namespace muster
