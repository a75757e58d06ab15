#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/digest.h"
#include "common/files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_format.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::Pair;

class DatasetStoreTest : public testing::Test {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "dataset").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Three documents, two of one text; query 0 with one positive and two hard negatives (one contradicts it).
  absl::StatusOr<DatasetFacts> Write() {
    const auto writer = DatasetWriter::Create(folder_).value();
    const uint32_t first = writer->AddPassage("Title", "one  text").value();
    const uint32_t second = writer->AddPassage("", "another").value();
    EXPECT_EQ(writer->AddPassage(" Title", "one text ").value(), first);
    writer->AddDocument("d1", first).value();
    writer->AddDocument("d2", second).value();
    writer->AddDocument("d3", first).value();
    writer->AddQuery("q1", "what?").value();
    writer->AddQuery("q2", " ").value();
    writer->AddSource("human").value();
    EXPECT_EQ(writer->AddSource("llm").value(), 1);
    EXPECT_EQ(writer->AddSource("human").value(), 0);
    writer->AddJudgment("train", 0, {.document = 0, .passage = first, .grade = 2, .source = 1});
    writer->AddJudgment("train", 0, {.document = 2, .passage = first, .hard_negative = 1});
    writer->AddJudgment("train", 0, {.document = 1, .passage = second, .hard_negative = 1});
    writer->AddJudgment("dev", 1, {.document = 1, .passage = second, .grade = 0});
    return writer->Finish();
  }

  std::filesystem::path folder_;
};

// The manifest after a change, with the digest of its new content.
void ChangeManifest(const std::filesystem::path& folder, const std::function<void(nlohmann::json&)>& change) {
  nlohmann::json manifest = nlohmann::json::parse(ReadFile(folder / kManifestFile).value());
  manifest.erase("digest");
  change(manifest);
  manifest["digest"] = Sha256Hex(manifest.dump());
  ASSERT_TRUE(WriteFileAtomically(folder / kManifestFile, manifest.dump()).ok());
}

TEST_F(DatasetStoreTest, ReadsDatasetsOfOlderVersions) {
  ASSERT_TRUE(Write().ok());
  EXPECT_NE(Dataset::Open(folder_).value()->content_digest(), Dataset::Open(folder_).value()->digest());
  ChangeManifest(folder_, [](nlohmann::json& manifest) {
    manifest.erase("content");
    manifest["files"].erase(std::string(kPassageDigests));
  });
  const auto dataset = Dataset::Open(folder_).value();
  EXPECT_EQ(dataset->content_digest(), dataset->digest());
  EXPECT_EQ(dataset->passage_digest(1), 1u) << "plans do not change";
}

TEST_F(DatasetStoreTest, IgnoredJudgmentsHaveAFormatThatOlderProgramsRefuse) {
  const auto format = [&] { return nlohmann::json::parse(ReadFile(folder_ / kManifestFile).value())["format"].get<int>(); };
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(format(), kDatasetFormat);
  const auto writer = DatasetWriter::Create(folder_).value();
  const uint32_t passage = writer->AddPassage("", "one").value();
  writer->AddDocument("d", passage).value();
  writer->AddDocument("e", passage).value();
  writer->AddQuery("q", "what?").value();
  writer->AddSource("human").value();
  writer->AddJudgment("train", 0, {.document = 0, .passage = passage});
  writer->AddJudgment("dev", 0, {.document = 1, .passage = passage, .hard_negative = kIgnored});
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(format(), kDatasetFormatWithIgnored);
  EXPECT_TRUE(Dataset::Open(folder_).ok());
}

TEST_F(DatasetStoreTest, ATeachersScoresAreStoredWithTheirJudgments) {
  const auto writer = DatasetWriter::Create(folder_).value();
  const uint32_t first = writer->AddPassage("", "one").value(), second = writer->AddPassage("", "two").value();
  writer->AddDocument("d1", first).value();
  writer->AddDocument("d2", second).value();
  writer->AddDocument("d3", second).value();
  for (const char* id : {"q1", "q2"}) writer->AddQuery(id, id).value();
  writer->AddSource("human").value();
  writer->AddJudgment("train", 0, {.document = 1, .passage = second, .hard_negative = kHardNegative}, -1.5f);
  writer->AddJudgment("train", 0, {.document = 0, .passage = first}, 2);
  writer->AddJudgment("train", 0, {.document = 0, .passage = first}, 9);  // repeats it: the first score stays
  writer->AddJudgment("train", 0, {.document = 2, .passage = second, .hard_negative = kHardNegative});
  writer->AddJudgment("train", 0, {.document = 2, .passage = second, .hard_negative = kHardNegative}, 0.5f);
  writer->AddJudgment("train", 1, {.document = 0, .passage = first});
  writer->AddJudgment("dev", 1, {.document = 0, .passage = first});
  ASSERT_TRUE(writer->Finish().ok());
  const auto dataset = Dataset::Open(folder_).value();
  EXPECT_TRUE(dataset->scores(0, 1).empty()) << "split dev has none";
  EXPECT_FALSE(std::filesystem::exists(folder_ / JudgmentScores(0)));
  ASSERT_EQ(dataset->judgments(1, 0).size(), 3u);
  const auto scores = dataset->scores(1, 0);
  EXPECT_THAT(std::vector<float>(scores.begin(), scores.end()), ElementsAre(2, -1.5f, 0.5f)) << "grades come first";
  ASSERT_EQ(dataset->scores(1, 1).size(), 1u);
  EXPECT_FALSE(HasScore(dataset->scores(1, 1)[0]));

  const float infinite = std::numeric_limits<float>::infinity();
  std::string bytes = ReadFile(folder_ / JudgmentScores(1)).value();
  bytes.replace(4, 4, reinterpret_cast<const char*>(&infinite), 4);
  ASSERT_TRUE(WriteFileAtomically(folder_ / JudgmentScores(1), bytes).ok());
  EXPECT_THAT(std::string(Dataset::Open(folder_).status().message()), testing::HasSubstr("a score is not finite"));
}

TEST_F(DatasetStoreTest, ReadsWhatWasWritten) {
  const DatasetFacts facts = Write().value();
  const auto dataset = Dataset::Open(folder_).value();
  EXPECT_EQ(dataset->digest(), facts.dataset.digest());
  EXPECT_EQ(dataset->passages(), 2u);
  EXPECT_EQ(dataset->title(0), "Title");
  EXPECT_EQ(dataset->body(0), "one  text");
  EXPECT_EQ(dataset->title(1), "");
  EXPECT_EQ(dataset->body(1), "another");
  EXPECT_EQ(dataset->documents(), 3u);
  EXPECT_EQ(dataset->document_id(2), "d3");
  EXPECT_EQ(dataset->passage_of(2), 0u);
  EXPECT_EQ(dataset->queries(), 2u);
  EXPECT_EQ(dataset->query_id(1), "q2");
  EXPECT_EQ(dataset->query_text(0), "what?");
  EXPECT_EQ(dataset->query_weight(0), 1.0f);
  EXPECT_NE(dataset->query_digest(0), dataset->query_digest(1));
  EXPECT_THAT(dataset->sources(), ElementsAre("human", "llm"));
  EXPECT_THAT(dataset->splits(), ElementsAre("dev", "train"));
  EXPECT_TRUE(dataset->judgments(0, 0).empty());
  ASSERT_EQ(dataset->judgments(0, 1).size(), 1u);
  ASSERT_EQ(dataset->judgments(1, 0).size(), 2u);  // the contradicting hard negative is gone
  EXPECT_EQ(dataset->judgments(1, 0)[0].grade, 2.0f);
  EXPECT_EQ(dataset->judgments(1, 0)[0].source, 1);
  EXPECT_EQ(dataset->judgments(1, 0)[1].document, 1u);
  EXPECT_EQ(dataset->judgments(1, 0)[1].hard_negative, 1);
}

TEST_F(DatasetStoreTest, CountsWhatItHolds) {
  const DatasetFacts facts = Write().value();
  EXPECT_EQ(facts.dataset.passages(), 3u);
  EXPECT_EQ(facts.dataset.unique_passages(), 2u);
  EXPECT_EQ(facts.dataset.queries(), 2u);
  EXPECT_EQ(facts.dataset.splits(1).name(), "train");
  EXPECT_EQ(facts.dataset.splits(1).queries(), 1u);
  EXPECT_EQ(facts.dataset.splits(1).positives(), 1u);
  EXPECT_EQ(facts.dataset.splits(1).negatives(), 1u);
  EXPECT_THAT(facts.positives_per_query, ElementsAre(Pair(0, 1), Pair(1, 1)));
  EXPECT_DOUBLE_EQ(facts.duplicate_share, 2.0 / 3);
  EXPECT_EQ(facts.hard_negatives, 2u);
  EXPECT_EQ(facts.own_positives, 1u);
  EXPECT_EQ(facts.other_positives, 0u);
  EXPECT_EQ(facts.empty_texts, 1u);
}

TEST_F(DatasetStoreTest, EqualContentHasAnEqualDigest) {
  const std::string first = Write()->dataset.digest();
  EXPECT_EQ(Write()->dataset.digest(), first);
}

TEST_F(DatasetStoreTest, RefusesADatasetWithoutPositives) {
  const auto writer = DatasetWriter::Create(folder_).value();
  writer->AddQuery("q", "text").value();
  EXPECT_EQ(writer->Finish().status().message(),
            "the dataset is empty: no query of 1 has a positive in any split. Check the judgments.");
}

TEST_F(DatasetStoreTest, RefusesAFileOfAnotherSize) {
  ASSERT_TRUE(Write().ok());
  std::filesystem::resize_file(folder_ / kPassageText, 3);
  const absl::Status status = Dataset::Open(folder_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              EndsWith("passages.text: has 3 bytes, the manifest says 21. The folder is damaged: import the dataset again."));
}

TEST_F(DatasetStoreTest, RefusesOffsetsAndIndicesThatLeadOutside) {
  const std::pair<std::string, size_t> places[] = {  // the place where eight bytes of ones break a table
      {std::string(kPassageOffsets), 8}, {std::string(kDocumentOffsets), 8}, {std::string(kQueryOffsets), 8},
      {JudgmentOffsets(0), 8},           {JudgmentEdges(1), 0},              {JudgmentEdges(1), 4},
      {std::string(kDocumentPassages), 0}};
  for (const auto& [name, at] : places) {
    ASSERT_TRUE(Write().ok());
    std::string bytes = ReadFile(folder_ / name).value();
    ASSERT_GE(bytes.size(), at + 8) << name;
    bytes.replace(at, 8, 8, '\xFF');
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, bytes).ok());
    EXPECT_EQ(Dataset::Open(folder_).status().code(), absl::StatusCode::kDataLoss) << name;
  }
}

// A manifest with a correct digest, so that only its content can be wrong.
TEST_F(DatasetStoreTest, RefusesAManifestOfOtherTypes) {
  const std::pair<const char*, nlohmann::json> changes[] = {
      {"format", "1"},      {"format", nullptr},        {"passages", "2"},   {"passages", -1},
      {"queries", nullptr}, {"documents", 1ull << 40},  {"sources", 3},      {"files", nullptr},
      {"files", {{std::string(kPassageText), "x"}}},    {"files", {{std::string(kPassageText), {{"bytes", "21"}}}}}};
  for (const auto& [key, value] : changes) {
    ASSERT_TRUE(Write().ok());
    nlohmann::json manifest = nlohmann::json::parse(ReadFile(folder_ / kManifestFile).value());
    manifest[key] = value;
    manifest.erase("digest");
    manifest["digest"] = Sha256Hex(manifest.dump());
    ASSERT_TRUE(WriteFileAtomically(folder_ / kManifestFile, manifest.dump()).ok());
    EXPECT_EQ(Dataset::Open(folder_).status().code(), absl::StatusCode::kDataLoss) << key << ": " << value;
  }
  const std::string nested = std::string(400000, '[') + std::string(400000, ']');
  ASSERT_TRUE(WriteFileAtomically(folder_ / kManifestFile, "{\"format\": 1, \"digest\": " + nested + "}").ok());
  EXPECT_EQ(Dataset::Open(folder_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DatasetStoreTest, RefusesAnAlteredManifest) {
  ASSERT_TRUE(Write().ok());
  std::string manifest = ReadFile(folder_ / kManifestFile).value();
  manifest.replace(manifest.find("human"), 5, "robot");
  ASSERT_TRUE(WriteFileAtomically(folder_ / kManifestFile, manifest).ok());
  EXPECT_THAT(std::string(Dataset::Open(folder_).status().message()),
              EndsWith("its digest is not that of its content. The folder is damaged: import the dataset again."));
}

TEST(PassageText, JoinsTitleAndBody) {
  EXPECT_EQ(PassageText("T", "b"), "T b");
  EXPECT_EQ(PassageText("", "b"), "b");
}

}  // namespace
}  // namespace muster
