#include "coordinator/data/tokenize/token_store.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

// A file: this header, offsets (uint64 [queries + passages + 1]), ids (uint16 or uint32 [offsets.back()]).
struct Header {
  char magic[8];
  char dataset[64];
  char tokenizer[64];  // KeyOf
  uint32_t queries;
  uint32_t passages;
  uint32_t bytes_per_id;
  uint32_t complete;  // 1: written last
  uint64_t ids;
};
static_assert(sizeof(Header) == 160);
constexpr char kMagic[8] = {'m', 'u', 's', 't', 'o', 'k', '1', '\n'};

constexpr size_t kBlock = 64;  // texts that a thread processes at once
constexpr size_t kRound = 256 * kBlock;  // texts in memory at once

// Identifies everything that decides the ids: the tokenizer's digest, as in stores from before prompts were joined, or
// a digest of tokenizer and prompts.
std::string KeyOf(const Tokenizer& tokenizer, const JoinedPrompts& prompts) {
  if (prompts == JoinedPrompts()) return tokenizer.digest();
  return Sha256Hex(absl::StrCat("joined\n", tokenizer.digest(), "\n", prompts.query.size(), "\n", prompts.query, "\n",
                                prompts.passage));
}

Header HeaderOf(const Dataset& dataset, const Tokenizer& tokenizer, const JoinedPrompts& prompts, uint64_t ids) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  dataset.digest().copy(header.dataset, sizeof header.dataset);
  KeyOf(tokenizer, prompts).copy(header.tokenizer, sizeof header.tokenizer);
  header.queries = dataset.queries();
  header.passages = dataset.passages();
  header.bytes_per_id = tokenizer.vocabulary_size() <= 1 << 16 ? 2 : 4;
  header.complete = 1;
  header.ids = ids;
  return header;
}

absl::Status EncodeText(const Dataset& dataset, const Tokenizer& tokenizer, const JoinedPrompts& prompts, uint64_t text,
                        std::vector<uint32_t>& ids) {
  if (text < dataset.queries()) {
    const auto query = static_cast<uint32_t>(text);
    const std::string_view bare = dataset.query_text(query);
    const absl::Status status = prompts.query.empty() ? tokenizer.Encode(bare, ids)
                                                      : tokenizer.Encode(prompts.query + std::string(bare), ids);
    if (status.ok()) return status;
    return WithContext(status, absl::StrCat("query \"", ToAbsl(dataset.query_id(query)), "\""));
  }
  const auto passage = static_cast<uint32_t>(text - dataset.queries());
  const std::string_view title = dataset.title(passage), body = dataset.body(passage);
  const absl::Status status = tokenizer.Encode(prompts.passage + std::string(PassageText(title, body)), ids);
  if (status.ok()) return status;
  uint32_t document = 0;
  while (document < dataset.documents() && dataset.passage_of(document) != passage) ++document;
  const std::string_view id = document < dataset.documents() ? dataset.document_id(document) : "";
  return WithContext(status, absl::StrCat("document \"", ToAbsl(id), "\""));
}

// Ids and lengths of the texts begin..end-1, block by block.
struct Block {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> lengths;
  absl::Status status;  // the error of the first text that cannot be encoded; the block ends before it
};
std::vector<Block> EncodeRound(const Dataset& dataset, const Tokenizer& tokenizer, const JoinedPrompts& prompts,
                               uint64_t begin, uint64_t end) {
  std::vector<Block> blocks((end - begin + kBlock - 1) / kBlock);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t b = next++; b < blocks.size(); b = next++) {
      Block& block = blocks[b];
      for (uint64_t text = begin + b * kBlock; text < std::min(end, begin + (b + 1) * kBlock); ++text) {
        const size_t before = block.ids.size();
        block.status = EncodeText(dataset, tokenizer, prompts, text, block.ids);
        if (!block.status.ok()) break;
        block.lengths.push_back(static_cast<uint32_t>(block.ids.size() - before));
      }
    }
  };
  std::vector<std::thread> threads(std::min<size_t>(std::max(1u, std::thread::hardware_concurrency()),
                                                    blocks.size()) - 1);
  for (std::thread& thread : threads) thread = std::thread(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return blocks;
}

template <typename T>
void Write(std::ofstream& out, std::span<const T> values) {
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
}

absl::Status WriteStore(const Dataset& dataset, const Tokenizer& tokenizer, const JoinedPrompts& prompts,
                        const std::filesystem::path& path, const std::function<void(double)>& progress) {
  std::ofstream out(path, std::ios::binary);
  const uint64_t texts = uint64_t{dataset.queries()} + dataset.passages();
  std::vector<uint64_t> offsets = {0};
  offsets.reserve(texts + 1);
  const bool narrow = HeaderOf(dataset, tokenizer, prompts, 0).bytes_per_id == 2;
  out.seekp(static_cast<std::streamoff>(sizeof(Header) + (texts + 1) * sizeof(uint64_t)));
  for (uint64_t begin = 0; begin < texts && out.good(); begin += kRound) {
    const uint64_t end = std::min(texts, begin + kRound);
    for (const Block& block : EncodeRound(dataset, tokenizer, prompts, begin, end)) {
      RETURN_IF_ERROR(block.status);
      for (const uint32_t length : block.lengths) offsets.push_back(offsets.back() + length);
      if (narrow) {
        const std::vector<uint16_t> ids(block.ids.begin(), block.ids.end());
        Write<uint16_t>(out, ids);
      } else {
        Write<uint32_t>(out, block.ids);
      }
    }
    if (progress) progress(static_cast<double>(end) / static_cast<double>(texts));
  }
  out.seekp(sizeof(Header));
  Write<uint64_t>(out, offsets);
  out.seekp(0);
  const Header header = HeaderOf(dataset, tokenizer, prompts, offsets.back());
  Write<Header>(out, {&header, 1});
  out.close();
  if (!out) {
    return absl::ResourceExhaustedError(absl::StrCat(path.string(), ": cannot write: ", std::strerror(errno),
                                                     ". Free disk space or fix the folder's permissions."));
  }
  return FlushToDisk(path);
}

absl::Status BuildStore(const Dataset& dataset, const Tokenizer& tokenizer, const JoinedPrompts& prompts,
                        const std::filesystem::path& file, const std::function<void(double)>& progress) {
  RETURN_IF_ERROR(MakeFolders(file.parent_path()));
  ASSIGN_OR_RETURN(const std::filesystem::path scratch, MakeScratchFolder(file.parent_path(), "building"));
  absl::Status status = WriteStore(dataset, tokenizer, prompts, scratch / "tokens", progress);
  std::error_code error;
  if (status.ok()) {
    std::filesystem::rename(scratch / "tokens", file, error);
    if (error) status = absl::InternalError(absl::StrCat(file.string(), ": cannot rename: ", error.message()));
  }
  std::filesystem::remove_all(scratch, error);
  RETURN_IF_ERROR(status);
  return FlushToDisk(file.parent_path());
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TokenStore>> TokenStore::OpenOrBuild(
    const Dataset& dataset, std::shared_ptr<const Tokenizer> tokenizer, JoinedPrompts prompts,
    const std::filesystem::path& folder, const std::function<void(double share_done)>& progress) {
  const std::filesystem::path file =
      folder / absl::StrCat(dataset.digest(), "-", KeyOf(*tokenizer, prompts).substr(0, 16), ".tokens");
  std::error_code error;
  if (std::filesystem::exists(file, error)) {
    if (auto store = Map(dataset, tokenizer, prompts, file); store.ok()) return store;
  }
  RETURN_IF_ERROR(BuildStore(dataset, *tokenizer, prompts, file, progress));
  return Map(dataset, tokenizer, prompts, file);
}

absl::StatusOr<std::shared_ptr<const TokenStore>> TokenStore::Map(const Dataset& dataset,
                                                                  std::shared_ptr<const Tokenizer> tokenizer,
                                                                  const JoinedPrompts& prompts,
                                                                  const std::filesystem::path& file) {
  std::shared_ptr<TokenStore> store(new TokenStore());
  ASSIGN_OR_RETURN(store->file_, MappedFile::Open(file));
  const std::string_view bytes = store->file_.bytes();
  const absl::Status broken =
      absl::DataLossError(absl::StrCat(file.string(), ": broken token store. Remove the file; it is made again."));
  const uint64_t texts = uint64_t{dataset.queries()} + dataset.passages();
  const uint64_t ids_at = sizeof(Header) + (texts + 1) * sizeof(uint64_t);
  if (bytes.size() < ids_at) return broken;
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const Header expected = HeaderOf(dataset, *tokenizer, prompts, header.ids);
  if (std::memcmp(&header, &expected, sizeof header) != 0) return broken;
  if (bytes.size() - ids_at != header.ids * header.bytes_per_id) return broken;
  store->offsets_ = reinterpret_cast<const uint64_t*>(bytes.data() + sizeof(Header));
  const std::span<const uint64_t> offsets(store->offsets_, texts + 1);
  if (offsets.front() != 0 || offsets.back() != header.ids || !std::ranges::is_sorted(offsets)) return broken;
  if (header.bytes_per_id == 2) {
    store->narrow_ = reinterpret_cast<const uint16_t*>(bytes.data() + ids_at);
  } else {
    store->wide_ = reinterpret_cast<const uint32_t*>(bytes.data() + ids_at);
  }
  store->tokenizer_ = std::move(tokenizer);
  store->prompts_ = prompts;
  store->dataset_digest_ = dataset.digest();
  store->queries_ = dataset.queries();
  store->passages_ = dataset.passages();
  return store;
}

std::vector<uint32_t> TokenStore::Ids(const Range& range) const {
  std::vector<uint32_t> ids(range.count);
  Copy(range, ids.data());
  return ids;
}

std::vector<uint32_t> TokenStore::Query(uint32_t query) const { return Ids(QueryRange(query)); }

std::vector<uint32_t> TokenStore::Passage(uint32_t passage) const { return Ids(PassageRange(passage)); }

}  // namespace muster
