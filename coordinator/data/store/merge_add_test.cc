#include "coordinator/data/store/merge_add.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using testing::HasSubstr;

struct Row {
  std::string split, query, document;
  float grade = 1;
  std::string source = "human";
  bool hard_negative = false;
  float score = kNoScore;
};

class MergeAddTest : public testing::Test {
 protected:
  using Texts = std::vector<std::pair<std::string, std::string>>;  // id, text

  void SetUp() override { root_ = MakeScratchFolder(testing::TempDir(), "add").value(); }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::shared_ptr<const Dataset> Make(const Texts& documents, const Texts& queries, const std::vector<Row>& rows) {
    const auto folder = MakeScratchFolder(root_, "set").value();
    const auto writer = DatasetWriter::Create(folder).value();
    std::map<std::string, uint32_t> document_of, query_of;
    for (const auto& [id, text] : documents) {
      document_of[id] = writer->AddDocument(id, writer->AddPassage("", text).value()).value();
    }
    for (const auto& [id, text] : queries) query_of[id] = writer->AddQuery(id, text).value();
    for (const Row& row : rows) {
      const uint32_t document = document_of.at(row.document);
      writer->AddJudgment(row.split, query_of.at(row.query),
                          {.document = document,
                           .passage = writer->passage_of(document),
                           .grade = row.grade,
                           .source = writer->AddSource(row.source).value(),
                           .hard_negative = row.hard_negative},
                          row.score);
    }
    EXPECT_TRUE(writer->Finish(false).ok());
    return Dataset::Open(folder).value();
  }

  // Rows without ids, in the order of the file.
  std::shared_ptr<const Dataset> Rows(std::vector<Row> rows) {
    Texts documents, queries;
    const auto id_of = [](Texts& texts, char letter, const std::string& text) {
      for (const auto& [id, known] : texts) {
        if (known == text) return id;
      }
      texts.emplace_back(absl::StrCat(std::string(1, letter), texts.size() + 1), text);
      return texts.back().first;
    };
    for (Row& row : rows) {
      row.query = id_of(queries, 'q', row.query);
      row.document = id_of(documents, 'p', row.document);
    }
    return Make(documents, queries, rows);
  }

  absl::StatusOr<std::shared_ptr<const Dataset>> Add(const Dataset& old, const Dataset& fresh) {
    const auto folder = MakeScratchFolder(root_, "merged").value();
    const auto writer = DatasetWriter::Create(folder).value();
    RETURN_IF_ERROR(AddDataset(old, fresh, *writer));
    EXPECT_TRUE(writer->Finish().ok());
    return Dataset::Open(folder);
  }

  std::filesystem::path root_;
};

TEST_F(MergeAddTest, OfRowsIsAsIfTheirFilesHadBeenImportedTogether) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    std::mt19937_64 random(seed);
    const auto rows = [&] {
      std::vector<Row> made;
      for (int i = 0; i < 12; ++i) {
        made.push_back({random() % 2 == 0 ? "train" : "test", absl::StrCat("ask ", random() % 6),
                        absl::StrCat("told ", random() % 15), static_cast<float>(1 + random() % 3),
                        random() % 3 == 0 ? "llm" : "human", random() % 4 == 0,
                        random() % 2 == 0 ? kNoScore : static_cast<float>(random() % 9)});
      }
      made[0].hard_negative = false;
      return made;
    };
    const std::vector<Row> first = rows(), second = rows();
    std::vector<Row> both = first;
    both.insert(both.end(), second.begin(), second.end());
    const auto merged = Add(*Rows(first), *Rows(second));
    ASSERT_TRUE(merged.ok()) << merged.status();
    EXPECT_EQ((*merged)->digest(), Rows(both)->digest()) << "seed " << seed;
  }
}

TEST_F(MergeAddTest, AgainChangesNothing) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    std::mt19937_64 random(seed);
    Texts documents, queries;
    // Some texts occur twice, and names look like those that an import gives, in another order.
    for (int i = 9; i >= 0; --i) documents.emplace_back(absl::StrCat("p", i), absl::StrCat("told ", i % 7));
    for (int i = 5; i >= 0; --i) queries.emplace_back(absl::StrCat("q", i), absl::StrCat("ask ", i % 4));
    std::vector<Row> rows = {{"train", "q0", "p0"}};
    for (int i = 0; i < 20; ++i) {
      rows.push_back({random() % 2 == 0 ? "train" : "test", absl::StrCat("q", random() % 6),
                      absl::StrCat("p", random() % 10), 1, random() % 3 == 0 ? "llm" : "human", random() % 4 == 0});
    }
    const auto old = Make(documents, queries, rows);
    const auto merged = Add(*old, *old);
    ASSERT_TRUE(merged.ok()) << merged.status();
    EXPECT_EQ((*merged)->digest(), old->digest()) << "seed " << seed;
    const auto added = CountAdded(*old, *old, **merged);
    EXPECT_EQ(added.queries() + added.documents() + added.judgments() + added.raised_grades(), 0u);
    EXPECT_GT(added.repeated_judgments(), 0u);
  }
}

TEST_F(MergeAddTest, KeepsBothSourcesAndTheHigherGradeOfOne) {
  const auto old = Make({{"d1", "a"}, {"d2", "b"}}, {{"x", "ask"}}, {{"train", "x", "d1", 2, "human"}, {"train", "x", "d2", 1, "human"}});
  const auto fresh = Make({{"d2", "b"}, {"d1", "a"}, {"d3", "c"}}, {{"x", "ask"}},
                          {{"train", "x", "d1", 1, "llm"}, {"train", "x", "d2", 3, "human"}, {"train", "x", "d1", 1, "human"},
                           {"test", "x", "d3", 1, "llm"}});
  const auto merged = Add(*old, *fresh).value();
  ASSERT_EQ(merged->splits(), (std::vector<std::string>{"test", "train"}));
  const auto train = merged->judgments(1, 0);
  ASSERT_EQ(train.size(), 3u);
  EXPECT_EQ(train[0].grade, 2) << "a lower one changes nothing";
  EXPECT_EQ(train[1].grade, 3);
  EXPECT_EQ(train[2].grade, 1);
  EXPECT_EQ(merged->sources()[train[2].source], "llm");
  const auto added = CountAdded(*old, *fresh, *merged);
  EXPECT_EQ(added.queries(), 0u);
  EXPECT_EQ(added.documents(), 1u);
  EXPECT_EQ(added.judgments(), 2u);
  EXPECT_EQ(added.raised_grades(), 1u);
  EXPECT_EQ(added.repeated_judgments(), 2u);
}

TEST_F(MergeAddTest, AnIdWithTwoTextsIsRefused) {
  const auto old = Make({{"d1", "a"}}, {{"x", "ask"}}, {{"train", "x", "d1"}});
  EXPECT_THAT(std::string(Add(*old, *Make({{"d1", "b"}}, {{"x", "ask"}}, {{"train", "x", "d1"}})).status().message()),
              HasSubstr("document \"d1\" has another text"));
  EXPECT_THAT(std::string(Add(*old, *Make({{"d1", "a"}}, {{"x", "other"}}, {{"train", "x", "d1"}})).status().message()),
              HasSubstr("query \"x\" has another text"));
}

// A file may have ids for only some passages; the import named the others.
TEST_F(MergeAddTest, NamesThatAnImportGaveAreNeverAConflict) {
  const auto old = Make({{"p1", "a"}, {"p2", "b"}}, {{"q1", "ask"}}, {{"train", "q1", "p1"}});
  const auto merged = Add(*old, *Make({{"d1", "c"}, {"p2", "d"}, {"p3", "b"}}, {{"x", "other"}, {"q2", "ask"}},
                                      {{"train", "x", "p2"}, {"train", "q2", "p3"}}));
  ASSERT_TRUE(merged.ok()) << merged.status();
  ASSERT_EQ((*merged)->documents(), 4u);
  EXPECT_EQ((*merged)->document_id(3), "p4") << "it was p2 in its file, where the dataset has another p2";
  EXPECT_EQ((*merged)->judgments(0, 0)[1].document, 1u) << "b is known by its text, and so is its query";
}

TEST_F(MergeAddTest, RowsReferToTheDocumentsOfTheirTexts) {
  const auto old = Make({{"d1", "a"}, {"d2", "a"}, {"p3", "b"}}, {{"x", "ask"}}, {{"train", "x", "d1"}});
  const auto merged = Add(*old, *Rows({{"train", "ask", "a"}, {"train", "ask", "c"}})).value();
  ASSERT_EQ(merged->queries(), 2u) << "a query with an id is not merged by text";
  EXPECT_EQ(merged->query_id(1), "q2");
  ASSERT_EQ(merged->documents(), 4u);
  EXPECT_EQ(merged->document_id(3), "p4");
  EXPECT_EQ(merged->judgments(0, 1)[0].document, 0u);
  EXPECT_EQ(merged->judgments(0, 1)[1].document, 3u);
}

}  // namespace
}  // namespace muster
