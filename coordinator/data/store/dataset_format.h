// The files of a dataset's folder. All numbers are little-endian, as on all machines that Muster runs on.
//
//   manifest.json        counts, names of sources and splits, and size and SHA-256 of every file below
//   passages.text        title and body of each passage, one after the other
//   passages.offsets     uint64[2 * passages + 1]: where title 0, body 0, title 1, … begin, and the end
//   passages.digests     uint64[passages]: the first 8 bytes of DigestOfPassage; absent in datasets of older versions
//   documents.ids        ids one after the other
//   documents.offsets    uint64[documents + 1]
//   documents.passages   uint32[documents]
//   queries.text         id and text of each query
//   queries.offsets      uint64[2 * queries + 1]
//   queries.weights      float[queries]
//   queries.digests      uint64[queries]
//   judgments-K.offsets  uint64[queries + 1], for split K
//   judgments-K.edges    Judgment[offsets[queries]]
//   judgments-K.scores   float[offsets[queries]]: a teacher's, NaN if a judgment has none; no file: none has one
//
// The manifest's "content" is the digest of texts and judgments without ids, absent in datasets of older versions.
// Format 2 has judgments that are ignored (kIgnored); a program that only knows format 1 would treat them as negatives.
//
// The digest of a dataset is the SHA-256 of its manifest without the key "digest", serialized without spaces and
// with sorted keys; the folder is named after it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace muster {

inline constexpr int kDatasetFormat = 1, kDatasetFormatWithIgnored = 2;
inline constexpr std::string_view kManifestFile = "manifest.json";
inline constexpr std::string_view kPassageText = "passages.text";
inline constexpr std::string_view kPassageOffsets = "passages.offsets";
inline constexpr std::string_view kPassageDigests = "passages.digests";
inline constexpr std::string_view kDocumentIds = "documents.ids";
inline constexpr std::string_view kDocumentOffsets = "documents.offsets";
inline constexpr std::string_view kDocumentPassages = "documents.passages";
inline constexpr std::string_view kQueryText = "queries.text";
inline constexpr std::string_view kQueryOffsets = "queries.offsets";
inline constexpr std::string_view kQueryWeights = "queries.weights";
inline constexpr std::string_view kQueryDigests = "queries.digests";
inline std::string JudgmentOffsets(size_t split) { return absl::StrCat("judgments-", split, ".offsets"); }
inline std::string JudgmentEdges(size_t split) { return absl::StrCat("judgments-", split, ".edges"); }
inline std::string JudgmentScores(size_t split) { return absl::StrCat("judgments-", split, ".scores"); }

}  // namespace muster
