#include "coordinator/data/blob/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/model/testing/zero_weights.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::FileManifest;
using testing::HasSubstr;

// A model.safetensors with every tensor of `config` except `left_out`, all zero.
std::string Safetensors(const EncoderConfig& config, const std::string& left_out) {
  std::vector<TensorShape> tensors = EncoderTensors(config);
  std::erase_if(tensors, [&](const TensorShape& tensor) { return tensor.name == left_out; });
  return ZeroWeights(tensors);
}

std::string Vocabulary(int entries) {
  std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
  for (int i = 4; i < entries; ++i) absl::StrAppend(&text, "w", i, "\n");
  return text;
}

class ModelFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = MakeScratchFolder(testing::TempDir(), "model").value();
    blobs_ = BlobStore::Open(root_ / "blobs").value();
    ASSERT_TRUE(MakeFolders(root_ / "scratch").ok());
    config_.vocabulary_size = 8;
    config_.hidden_size = 4;
    config_.layers = 1;
    config_.heads = 1;
    config_.intermediate_size = 8;
    config_.max_positions = 16;
    Put("config.json", R"({"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 8, "hidden_size": 4,
      "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "max_position_embeddings": 16,
      "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"})");
    Put("vocab.txt", Vocabulary(8));
    Put("model.safetensors", Safetensors(config_, ""));
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // Stores the bytes and gives them the path in the manifest.
  void Put(const std::string& path, const std::string& bytes) {
    muster::v1::PutBlobHeader header;
    header.set_digest(Sha256Hex(bytes));
    header.set_size(bytes.size());
    if (auto upload = blobs_->Upload(header); upload.ok()) {
      ASSERT_TRUE((*upload)->Append(bytes).ok());
      ASSERT_TRUE((*upload)->Commit().ok());
    }
    Remove(path);
    auto* file = files_.add_files();
    file->set_path(path);
    file->set_digest(header.digest());
    file->set_size(bytes.size());
  }
  void Remove(const std::string& path) {
    auto* files = files_.mutable_files();
    files->erase(std::remove_if(files->begin(), files->end(), [&](const auto& file) { return file.path() == path; }),
                 files->end());
  }
  absl::StatusOr<muster::v1::Model> Check() { return CheckModel(*blobs_, files_, root_ / "scratch"); }
  std::string Error() { return std::string(Check().status().message()); }

  std::filesystem::path root_;
  std::unique_ptr<BlobStore> blobs_;
  EncoderConfig config_;
  FileManifest files_;
};

TEST_F(ModelFilesTest, TakesAWholeModel) {
  const auto model = Check();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->architecture(), "bert");
  EXPECT_EQ(model->hidden_size(), 4u);
  EXPECT_EQ(model->layers(), 1u);
  EXPECT_EQ(model->vocabulary_size(), 8u);
  EXPECT_GT(model->bytes(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(root_ / "scratch"));
}

TEST_F(ModelFilesTest, TakesAVocabularyAlone) {
  Remove("config.json");
  Remove("model.safetensors");
  const auto model = Check().value();
  EXPECT_EQ(model.architecture(), "");
  EXPECT_EQ(model.vocabulary_size(), 8u);
}

TEST_F(ModelFilesTest, RefusesAVocabularyOfAnotherModel) {
  Put("vocab.txt", Vocabulary(9));
  EXPECT_EQ(Error(),
            "models push: vocab.txt has 9 entries, embeddings.word_embeddings.weight has 8 rows: the tokenizer belongs "
            "to another model.");
}

TEST_F(ModelFilesTest, NamesAMissingTensor) {
  Put("model.safetensors", Safetensors(config_, "encoder.layer.0.output.dense.bias"));
  EXPECT_THAT(Error(), HasSubstr("models push: model.safetensors: encoder.layer.0.output.dense.bias"));
}

TEST_F(ModelFilesTest, NamesAMissingFile) {
  Remove("model.safetensors");
  EXPECT_EQ(Error(),
            "models push: model.safetensors is missing, the folder has config.json, vocab.txt. Save the model with "
            "safetensors.");
  Remove("vocab.txt");
  Remove("config.json");
  EXPECT_EQ(Error(),
            "models push: config.json is missing, the folder has no file. Push a Hugging Face folder, or only a tokenizer "
            "(tokenizer.json or vocab.txt).");
}

TEST_F(ModelFilesTest, WeightsThatAreNotReadHaveARemedy) {
  Remove("model.safetensors");
  Put("pytorch_model.bin", "x");
  EXPECT_THAT(Error(), HasSubstr("pytorch_model.bin is not read. Save the weights again, in Python:"));
  Put("model.safetensors", Safetensors(config_, ""));
  EXPECT_EQ(Error(), "") << "next to safetensors it does not matter";
  Put("adapter_config.json", "{}");
  EXPECT_THAT(Error(), HasSubstr("merge_and_unload"));
}

TEST_F(ModelFilesTest, ModelSaysWhatJobsUseOfTheFolder) {
  Put("vocab.txt", Vocabulary(6));
  Put("modules.json", R"([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "pool", "type": "sentence_transformers.models.Pooling"}])");
  Put("pool/config.json", R"({"pooling_mode": "cls", "embedding_dimension": 4})");
  Put("config_sentence_transformers.json", R"({"prompts": {"query": "w4 "}})");
  Put("tokenizer_config.json", R"({"model_max_length": 9})");
  const auto model = Check();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->pooling(), muster::v1::POOLING_CLS);
  EXPECT_FALSE(model->normalize());
  EXPECT_EQ(model->max_length(), 9u);
  EXPECT_EQ(model->embedding_size(), 4u);
  EXPECT_EQ(model->prompts().query(), "w4 ");
  EXPECT_EQ(model->prompts().passage(), "");
  EXPECT_THAT(model->notes(), testing::Contains(HasSubstr("have 8 rows for 6 entries")));
  EXPECT_THAT(model->notes(), testing::Contains(HasSubstr("jobs put \"w4 \" before queries")));
}

TEST_F(ModelFilesTest, RefusesATokenizerThatCannotBeRead) {
  Put("tokenizer.json", "{\"version\": \"1.0\"}");
  EXPECT_EQ(Error(), "models push: tokenizer.json: model: is missing");
  Put("tokenizer.json", "[1]");
  EXPECT_EQ(Error(), "models push: tokenizer.json: is not a JSON object");
}

TEST_F(ModelFilesTest, RefusesLargeFilesUnread) {
  Put("tokenizer_config.json", std::string(2 << 20, ' '));
  EXPECT_EQ(Error(), "models push: tokenizer_config.json: has 2097152 bytes, at most 1048576 are read");
}

TEST_F(ModelFilesTest, NamesAFileWhoseBlobIsMissing) {
  auto* file = files_.add_files();
  file->set_path("README.md");
  file->set_digest(Sha256Hex("never put"));
  const absl::Status status = Check().status();
  EXPECT_EQ(status.message(), absl::StrCat("models push: README.md: blob ", file->digest().substr(0, 12),
                                           " is not stored. Put it first."));
  EXPECT_EQ(ReasonOf(status), "BLOB_NOT_FOUND");
}

TEST_F(ModelFilesTest, TheManifestsOrderDoesNotMatter) {
  const NamedManifest first = CanonicalManifest(files_).value();
  files_.mutable_files()->SwapElements(0, 2);
  EXPECT_EQ(CanonicalManifest(files_)->digest, first.digest);
  EXPECT_EQ(first.files.files(0).path(), "config.json");
  *files_.add_files() = files_.files(0);
  EXPECT_THAT(std::string(CanonicalManifest(files_).status().message()), HasSubstr("is in the manifest twice"));
  files_.mutable_files(0)->set_path("../x");
  EXPECT_FALSE(CanonicalManifest(files_).ok());
}

TEST_F(ModelFilesTest, AManifestIsReadOnlyIfItsBytesHaveItsDigest) {
  const NamedManifest manifest = CanonicalManifest(files_).value();
  ASSERT_TRUE(blobs_->PutBytes(manifest.digest, manifest.bytes).ok());
  EXPECT_EQ(ReadManifestBlob(*blobs_, manifest.digest)->files_size(), files_.files_size());
  std::string bytes = manifest.bytes;
  bytes[bytes.find("config.json")] = 'C';
  ASSERT_TRUE(WriteFileAtomically(blobs_->PathOf(manifest.digest).value(), bytes).ok());
  const absl::Status status = ReadManifestBlob(*blobs_, manifest.digest).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("are damaged"));
  const std::string no_manifest = "these bytes cannot be parsed";
  ASSERT_TRUE(blobs_->PutBytes(Sha256Hex(no_manifest), no_manifest).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(ReadManifestBlob(*blobs_, Sha256Hex(no_manifest)).status()));
}

// A job that began before tokenizer.json was supported keeps the ids of vocab.txt.
TEST_F(ModelFilesTest, AJobKeepsTheTokenizerThatItBeganWith) {
  const std::string began_with = LoadTokenizer(*blobs_, files_).value()->digest();
  Put("tokenizer.json", R"({"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0}}})");
  EXPECT_NE(LoadTokenizer(*blobs_, files_).value()->digest(), began_with);
  EXPECT_EQ(LoadTokenizer(*blobs_, files_, began_with).value()->digest(), began_with);
  Put("tokenizer.json", "{}");
  EXPECT_EQ(LoadTokenizer(*blobs_, files_, began_with).value()->digest(), began_with) << "unread, as before";
  EXPECT_EQ(LoadTokenizer(*blobs_, files_, std::string(64, '0')).status().message(),
            "tokenizer.json: model: is missing");
}

TEST_F(ModelFilesTest, TheTokenizerKnowsItsCase) {
  Put("vocab.txt", Vocabulary(7) + "Ab\n");
  const std::string lower = LoadTokenizer(*blobs_, files_).value()->digest();
  Put("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_NE(LoadTokenizer(*blobs_, files_).value()->digest(), lower);
  EXPECT_EQ(TokenizerFiles(files_)->files_size(), 3) << "with config.json, whose model_type may choose the class";
}

}  // namespace
}  // namespace muster
