// Dataset::Open: a dataset's folder, mapped.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_format.h"

namespace muster {
namespace {

using Json = nlohmann::json;

absl::Status Damaged(const std::filesystem::path& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path.string(), ": ", what, ". The folder is damaged: import the dataset again."));
}

// An array in a mapped file. An empty file is not mapped at all.
template <typename T>
class Table {
 public:
  absl::Status Open(const std::filesystem::path& folder, std::string_view name, const Json& files, uint64_t count) {
    RETURN_IF_ERROR(Open(folder, name, files));
    if (size_ == count) return absl::OkStatus();
    return Damaged(folder / name, absl::StrCat("holds ", size_, " entries, the manifest says ", count));
  }
  // Opens a table of any length.
  absl::Status Open(const std::filesystem::path& folder, std::string_view name, const Json& files) {
    const std::filesystem::path path = folder / name;
    const auto entry = files.find(std::string(name));
    if (entry == files.end()) return Damaged(folder / kManifestFile, absl::StrCat(ToAbsl(name), " is not listed"));
    if (!entry->is_object() || !entry->contains("bytes") || !(*entry)["bytes"].is_number_unsigned()) {
      return Damaged(folder / kManifestFile, absl::StrCat(ToAbsl(name), " has no size"));
    }
    const uint64_t expected = (*entry)["bytes"].get<uint64_t>();
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(path, error);
    if (error) return Damaged(path, error.message());
    if (bytes != expected || bytes % sizeof(T) != 0) {
      return Damaged(path, absl::StrCat("has ", bytes, " bytes, the manifest says ", expected));
    }
    if (bytes == 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(file_, MappedFile::Open(path));
    size_ = bytes / sizeof(T);
    return absl::OkStatus();
  }

  const T& operator[](size_t i) const { return file_.as<T>()[i]; }
  const T* data() const { return file_.as<T>(); }
  size_t size() const { return size_; }
  std::span<const T> values() const { return {data(), size_}; }

 private:
  MappedFile file_;
  size_t size_ = 0;
};

// Strings one after the other, with the offsets of their beginnings and ends.
struct Strings {
  Table<char> bytes;
  Table<uint64_t> offsets;

  absl::Status Open(const std::filesystem::path& folder, std::string_view text_name, std::string_view offsets_name,
                    const Json& files, uint64_t count) {
    RETURN_IF_ERROR(bytes.Open(folder, text_name, files));
    RETURN_IF_ERROR(offsets.Open(folder, offsets_name, files, count + 1));
    if (offsets[0] == 0 && offsets[count] == bytes.size() && std::ranges::is_sorted(offsets.values())) {
      return absl::OkStatus();
    }
    return Damaged(folder / offsets_name, "the offsets do not cover the texts");
  }
  std::string_view operator[](size_t i) const {
    if (bytes.size() == 0) return {};
    return {bytes.data() + offsets[i], offsets[i + 1] - offsets[i]};
  }
};

struct Rows {
  Table<uint64_t> offsets;
  Table<Judgment> edges;
  Table<float> scores;  // empty: none
};

class MappedDataset final : public Dataset {
 public:
  absl::Status Map(const std::filesystem::path& folder, const Json& manifest) {
    digest_ = manifest["digest"].get<std::string>();
    const Json content = manifest.value("content", Json(digest_));
    if (!content.is_string()) return Damaged(folder / kManifestFile, "content is not a digest");
    content_digest_ = content.get<std::string>();
    for (const auto& [key, count] : {std::pair("passages", &passages_), std::pair("documents", &documents_),
                                     std::pair("queries", &queries_)}) {
      const Json value = manifest.value(key, Json());
      if (!value.is_number_unsigned() || value.get<uint64_t>() > std::numeric_limits<uint32_t>::max()) {
        return Damaged(folder / kManifestFile, absl::StrCat(key, " is not a count"));
      }
      *count = value.get<uint32_t>();
    }
    sources_ = manifest["sources"].get<std::vector<std::string>>();
    splits_ = manifest["splits"].get<std::vector<std::string>>();
    const Json& files = manifest["files"];
    RETURN_IF_ERROR(passage_text_.Open(folder, kPassageText, kPassageOffsets, files, uint64_t{2} * passages_));
    if (files.contains(std::string(kPassageDigests))) {
      RETURN_IF_ERROR(passage_digests_.Open(folder, kPassageDigests, files, passages_));
    }
    RETURN_IF_ERROR(document_ids_.Open(folder, kDocumentIds, kDocumentOffsets, files, documents_));
    RETURN_IF_ERROR(query_text_.Open(folder, kQueryText, kQueryOffsets, files, uint64_t{2} * queries_));
    RETURN_IF_ERROR(document_passages_.Open(folder, kDocumentPassages, files, documents_));
    RETURN_IF_ERROR(query_weights_.Open(folder, kQueryWeights, files, queries_));
    RETURN_IF_ERROR(query_digests_.Open(folder, kQueryDigests, files, queries_));
    const auto documents = document_passages_.values();
    if (std::ranges::any_of(documents, [this](uint32_t passage) { return passage >= passages_; })) {
      return Damaged(folder / kDocumentPassages, "a document's passage does not exist");
    }
    rows_.resize(splits_.size());
    for (size_t split = 0; split < splits_.size(); ++split) RETURN_IF_ERROR(MapRows(folder, files, split));
    return absl::OkStatus();
  }

  const std::string& digest() const override { return digest_; }
  uint32_t passages() const override { return passages_; }
  std::string_view title(uint32_t passage) const override { return passage_text_[size_t{2} * passage]; }
  std::string_view body(uint32_t passage) const override { return passage_text_[size_t{2} * passage + 1]; }
  uint32_t documents() const override { return documents_; }
  std::string_view document_id(uint32_t document) const override { return document_ids_[document]; }
  uint32_t passage_of(uint32_t document) const override { return document_passages_[document]; }
  uint32_t queries() const override { return queries_; }
  std::string_view query_id(uint32_t query) const override { return query_text_[size_t{2} * query]; }
  std::string_view query_text(uint32_t query) const override { return query_text_[size_t{2} * query + 1]; }
  float query_weight(uint32_t query) const override { return query_weights_[query]; }
  uint64_t query_digest(uint32_t query) const override { return query_digests_[query]; }
  const std::string& content_digest() const override { return content_digest_; }
  uint64_t passage_digest(uint32_t passage) const override {
    return passage_digests_.size() == 0 ? passage : passage_digests_[passage];
  }
  const std::vector<std::string>& sources() const override { return sources_; }
  const std::vector<std::string>& splits() const override { return splits_; }
  std::span<const Judgment> judgments(uint32_t split, uint32_t query) const override {
    const Rows& rows = rows_[split];
    const uint64_t begin = rows.offsets[query], end = rows.offsets[query + 1];
    return {rows.edges.data() + begin, end - begin};
  }
  std::span<const float> scores(uint32_t split, uint32_t query) const override {
    const Rows& rows = rows_[split];
    if (rows.scores.size() == 0) return {};
    const uint64_t begin = rows.offsets[query], end = rows.offsets[query + 1];
    return {rows.scores.data() + begin, end - begin};
  }

 private:
  // Offsets and indices are checked once, here, so that readers need no checks.
  absl::Status MapRows(const std::filesystem::path& folder, const Json& files, size_t split) {
    Rows& rows = rows_[split];
    RETURN_IF_ERROR(rows.offsets.Open(folder, JudgmentOffsets(split), files, uint64_t{queries_} + 1));
    if (rows.offsets[0] != 0 || !std::ranges::is_sorted(rows.offsets.values())) {
      return Damaged(folder / JudgmentOffsets(split), "the offsets do not ascend");
    }
    RETURN_IF_ERROR(rows.edges.Open(folder, JudgmentEdges(split), files, rows.offsets[queries_]));
    for (const Judgment& edge : rows.edges.values()) {
      if (edge.document >= documents_ || edge.passage >= passages_ || edge.source >= sources_.size()) {
        return Damaged(folder / JudgmentEdges(split), "a judgment names a document, passage or source that does not exist");
      }
    }
    if (!files.contains(JudgmentScores(split))) return absl::OkStatus();
    RETURN_IF_ERROR(rows.scores.Open(folder, JudgmentScores(split), files, rows.offsets[queries_]));
    if (std::ranges::any_of(rows.scores.values(), [](float score) { return std::isinf(score); })) {
      return Damaged(folder / JudgmentScores(split), "a score is not finite");
    }
    return absl::OkStatus();
  }

  std::string digest_, content_digest_;
  uint32_t passages_ = 0, documents_ = 0, queries_ = 0;
  std::vector<std::string> sources_, splits_;
  Strings passage_text_, document_ids_, query_text_;
  Table<uint32_t> document_passages_;
  Table<float> query_weights_;
  Table<uint64_t> query_digests_, passage_digests_;
  std::vector<Rows> rows_;
};

bool IsListOfStrings(const Json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); });
}

absl::StatusOr<Json> ReadManifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifestFile;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  // Deeper than any manifest, because dump() below is recursive.
  const auto flat = [](int depth, Json::parse_event_t, Json&) { return depth <= 8; };
  Json manifest = Json::parse(text, flat, false);
  if (!manifest.is_object()) return Damaged(path, "is not a JSON object");
  const Json format = manifest.contains("format") ? manifest["format"] : Json();
  if (!format.is_number_unsigned()) return Damaged(path, "lacks its format");
  if (format.get<uint64_t>() < kDatasetFormat || format.get<uint64_t>() > kDatasetFormatWithIgnored) {
    return absl::FailedPreconditionError(absl::StrCat(path.string(), ": format ", format.get<uint64_t>(),
                                                      ", this program reads ", kDatasetFormat, " and ",
                                                      kDatasetFormatWithIgnored,
                                                      ". Import the dataset again."));
  }
  Json content = manifest;
  content.erase("digest");
  const auto digest = manifest.find("digest");
  if (digest == manifest.end() || !digest->is_string() || *digest != Sha256Hex(content.dump())) {
    return Damaged(path, "its digest is not that of its content");
  }
  if (!IsListOfStrings(manifest["sources"]) || !IsListOfStrings(manifest["splits"]) || !manifest["files"].is_object()) {
    return Damaged(path, "lacks sources, splits or files");
  }
  return manifest;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Dataset>> Dataset::Open(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const Json manifest, ReadManifest(folder));
  auto dataset = std::make_shared<MappedDataset>();
  RETURN_IF_ERROR(dataset->Map(folder, manifest));
  return dataset;
}

std::string PassageText(std::string_view title, std::string_view body) {
  return title.empty() ? std::string(body) : absl::StrCat(ToAbsl(title), " ", ToAbsl(body));
}

}  // namespace muster
