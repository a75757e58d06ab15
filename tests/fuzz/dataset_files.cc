// A damaged state folder: the files of a dataset and its token store with bytes changed, cut or added. If the manifest
// is changed, its digests are adjusted, as in a hostile backup. Laws: the dataset is refused, or everything in it can be read.
#include <nlohmann/json.hpp>

#include "common/digest.h"
#include "coordinator/data/import/importer.h"
#include "coordinator/data/store/dataset_format.h"
#include "coordinator/data/tokenize/token_store.h"
#include "coordinator/data/tokenize/vocab_txt.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/read_dataset.h"
#include "tests/fuzz/scratch.h"

namespace muster {
namespace {

struct Sample {
  FuzzFolder root;
  std::vector<std::pair<std::string, std::string>> files;  // name, bytes
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string token_name, tokens;

  Sample() {
    muster::v1::ImportHeader header;
    header.set_name("d");
    const auto folder = root.Fresh("sample");
    auto importer = Importer::Create(header, folder).value();
    const std::pair<const char*, const char*> inputs[] = {
        {"corpus.jsonl", "{\"_id\":\"d0\",\"title\":\"T\",\"text\":\"one two\"}\n{\"_id\":\"d1\",\"text\":\"three\"}\n"},
        {"queries.jsonl", "{\"_id\":\"q0\",\"text\":\"one\"}\n{\"_id\":\"q1\",\"text\":\"three\"}\n"},
        {"qrels/train.tsv", "q0\td0\t1\nq1\td1\t2\n"},
        {"qrels/dev.tsv", "q0\td1\t1\n"}};
    for (const auto& [path, content] : inputs) {
      FUZZ_CHECK(importer->BeginFile(path).ok() && importer->Chunk(content).ok(), path);
    }
    FUZZ_CHECK(importer->Finish().ok(), "the sample is refused");
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      files.emplace_back(entry.path().filename().string(), ReadFile(entry.path()).value());
    }
    std::sort(files.begin(), files.end());
    tokenizer = TokenizerOfVocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\none\ntwo\nthree\nt\n", true).value();
    const auto dataset = Dataset::Open(folder).value();
    FUZZ_CHECK(TokenStore::OpenOrBuild(*dataset, tokenizer, {}, root.path() / "tokens", {}).ok(), "tokens");
    for (const auto& entry : std::filesystem::directory_iterator(root.path() / "tokens")) {
      token_name = entry.path().filename().string();
      tokens = ReadFile(entry.path()).value();
    }
  }
};

// Writes, cuts or appends.
void Change(ByteSource& source, std::string& bytes) {
  const size_t at = bytes.empty() ? 0 : source.Take<uint16_t>() % bytes.size();
  switch (source.Below(4)) {
    case 0: bytes.resize(at); break;
    case 1: bytes += source.ShortBytes(); break;
    case 2: bytes = source.ShortBytes(); break;
    default: {
      const std::string change = source.ShortBytes();
      for (size_t i = 0; i < change.size() && at + i < bytes.size(); ++i) bytes[at + i] = change[i];
    }
  }
}

// Corrects the sizes of the files and the manifest's own digest.
std::string Sealed(const std::string& text, const std::vector<std::pair<std::string, std::string>>& files, bool sizes) {
  nlohmann::json manifest = nlohmann::json::parse(text, nullptr, false);
  if (!manifest.is_object()) return text;
  if (sizes && manifest.contains("files") && manifest["files"].is_object()) {
    for (const auto& [name, bytes] : files) {
      if (manifest["files"].contains(name) && manifest["files"][name].is_object()) {
        manifest["files"][name]["bytes"] = bytes.size();
      }
    }
  }
  manifest.erase("digest");
  manifest["digest"] = Sha256Hex(manifest.dump());
  return manifest.dump();
}

void Run(ByteSource& source) {
  static const Sample sample;
  auto files = sample.files;
  std::string tokens = sample.tokens;
  const bool seal = source.Coin(), sizes = source.Coin();
  for (int i = 0; i < 16 && !source.empty(); ++i) {
    const size_t pick = source.Below(files.size() + 1);
    Change(source, pick < files.size() ? files[pick].second : tokens);
  }
  const auto folder = sample.root.Fresh("d");
  for (const auto& [name, bytes] : files) {
    Put(folder / name, seal && name == kManifestFile ? Sealed(bytes, files, sizes) : bytes);
  }
  const auto dataset = Dataset::Open(folder);
  if (!dataset.ok()) {
    FUZZ_CHECK(!dataset.status().message().empty(), "an error without words");
    return;
  }
  ReadAll(**dataset);
  const auto store_folder = sample.root.Fresh("t");
  Put(store_folder / sample.token_name, tokens);
  const auto store = TokenStore::OpenOrBuild(**dataset, sample.tokenizer, {}, store_folder, {});
  if (!store.ok()) return;
  for (uint32_t i = 0; i < (*store)->queries(); ++i) (*store)->Query(i);
  for (uint32_t i = 0; i < (*store)->passages(); ++i) (*store)->Passage(i);
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  muster::Run(source);
  return 0;
}
