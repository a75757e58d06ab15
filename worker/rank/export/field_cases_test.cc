// Model folders from the field (shared/cases): each is read, embedded, exported and read again. Their expected.json holds
// token ids and embeddings of sentence-transformers.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "common/files.h"
#include "nlohmann/json.hpp"
#include "test_paths.h"
#include "worker/rank/export/export.h"

namespace muster {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;

class FieldCase : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = fs::path(MUSTER_SOURCE_DIR) / "../shared/cases" / GetParam() / "model";
    if (!fs::exists(folder_)) GTEST_SKIP() << "left out: " << folder_ << " does not exist";
    expected_ = nlohmann::json::parse(ReadFile(folder_ / "expected.json").value());
    root_ = MakeScratchFolder(testing::TempDir(), "case").value();
  }
  void TearDown() override {
    if (!root_.empty()) fs::remove_all(root_);
  }

  // The texts in ascending order of length, and which of them each sequence is.
  PackedBatch Batch(std::vector<size_t>& order) const {
    const auto& ids = expected_["ids"];
    order.resize(ids.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return ids[i].size(); });
    PackedBatch batch;
    std::vector<int64_t> tokens;
    for (const size_t i : order) {
      for (const auto& id : ids[i]) tokens.push_back(id);
      batch.lengths.push_back(static_cast<int64_t>(ids[i].size()));
      batch.slots.push_back(static_cast<uint32_t>(i));
    }
    batch.tokens = at::tensor(tokens, at::kLong);
    // "query : " of the one case that keeps its prompt out of pooling: [CLS] and two tokens.
    if (exclude_prompt_) batch.unpooled.assign(order.size(), 3);
    return batch;
  }
  // The largest difference from the expected embeddings.
  double Difference(const Encoder& encoder) const {
    const at::NoGradGuard no_grad;
    std::vector<size_t> order;
    const at::Tensor embeddings = encoder.Encode(Batch(order), {});
    double largest = 0;
    for (size_t row = 0; row < order.size(); ++row) {
      const auto expected = expected_["embeddings"][order[row]].get<std::vector<float>>();
      const at::Tensor difference = embeddings[static_cast<int64_t>(row)] - at::tensor(expected, at::kFloat);
      largest = std::max(largest, difference.abs().max().item<double>());
    }
    return largest;
  }

  fs::path folder_, root_;
  nlohmann::json expected_;
  bool exclude_prompt_ = false;
};

TEST_P(FieldCase, EmbedsAsSentenceTransformersDoesAndComesBackFromTheExport) {
  const auto config = ReadEncoderConfig(folder_);
  ASSERT_TRUE(config.ok()) << config.status();
  const absl::Status checked = CheckModelFolder(folder_, *config);
  ASSERT_TRUE(checked.ok()) << checked;
  EXPECT_EQ(config->max_sequence_length, expected_.value("max_length", 32));
  exclude_prompt_ = config->exclude_prompt;
  EXPECT_EQ(exclude_prompt_, fs::path(GetParam()) == "08-include-prompt-false");
  const auto encoder = Encoder::Load(folder_, *config);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  const double difference = Difference(**encoder);
  RecordProperty("difference", std::to_string(difference));
  EXPECT_LE(difference, 1e-5);

  std::vector<size_t> order;
  ExportOptions options = {.folder = root_ / "export",
                           .tokenizer = folder_,
                           .query_prompt = config->prompts.query,
                           .passage_prompt = config->prompts.passage,
                           .probe = Batch(order)};
  options.card.title = "Case";
  const absl::Status exported = ExportFolder(**encoder, options);
  ASSERT_TRUE(exported.ok()) << exported;
  const auto again = ReadEncoderConfig(options.folder);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->vocabulary_size, config->vocabulary_size);
  EXPECT_EQ(again->pooling, config->pooling);
  EXPECT_EQ(again->normalize, config->normalize);
  EXPECT_EQ(again->exclude_prompt, config->exclude_prompt);
  EXPECT_EQ(again->max_sequence_length, config->max_sequence_length);
  EXPECT_EQ(again->prompts.query, config->prompts.query);
  EXPECT_EQ(again->prompts.passage, config->prompts.passage);
  EXPECT_LE(Difference(*Encoder::Load(options.folder, *again).value()), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Folders, FieldCase,
                         testing::Values("01-st6-pooling-cls", "02-no-vocab-txt", "03-layernorm-gamma-beta",
                                         "06-padded-embedding-rows", "08-include-prompt-false", "09-prompts-in-folder", "11-sharded-safetensors",
                                         "12-fast-tokenizer-class", "13-odd-head-size"));

}  // namespace
}  // namespace muster
