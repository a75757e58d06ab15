// A stored dataset, memory-mapped and read-only: texts, queries, documents, judgments.
//
// A *passage* is a text (title and body), unique by the digest of its normalized form; a *document* is a name
// (a user's id) for a passage. Queries are never merged by text when they have ids.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

// An edge query → document. Edges of a query are sorted in the order of the user's files.
struct Judgment {
  uint32_t document = 0;
  uint32_t passage = 0;  // the document's passage
  float grade = 1;       // > 0: relevant; 0: judged not relevant; meaningless for hard negatives
  uint16_t source = 0;   // index into sources()
  uint16_t hard_negative = 0;  // 0: the grade counts; kHardNegative or kIgnored
};
static_assert(sizeof(Judgment) == 16);
// A teacher model's score of a query and a passage (loss.distill), one per judgment; NaN: the teacher gave none.
inline constexpr float kNoScore = std::numeric_limits<float>::quiet_NaN();
inline bool HasScore(float score) { return !std::isnan(score); }
inline constexpr uint16_t kHardNegative = 1;  // given as a negative to train against
inline constexpr uint16_t kIgnored = 2;       // neither a positive nor a negative: training masks it, evaluation skips it

// Thread-safe: immutable. Indices are dense from 0 and do not change for a digest.
class Dataset {
 public:
  static absl::StatusOr<std::shared_ptr<const Dataset>> Open(const std::filesystem::path& folder);
  virtual ~Dataset() = default;

  virtual const std::string& digest() const = 0;  // SHA-256 of the content

  virtual uint32_t passages() const = 0;
  virtual std::string_view title(uint32_t passage) const = 0;  // may be empty
  virtual std::string_view body(uint32_t passage) const = 0;

  virtual uint32_t documents() const = 0;
  virtual std::string_view document_id(uint32_t document) const = 0;
  virtual uint32_t passage_of(uint32_t document) const = 0;

  virtual uint32_t queries() const = 0;
  virtual std::string_view query_id(uint32_t query) const = 0;
  virtual std::string_view query_text(uint32_t query) const = 0;
  virtual float query_weight(uint32_t query) const = 0;
  virtual uint64_t query_digest(uint32_t query) const = 0;  // first 8 bytes of SHA-256 of id and text

  // Identifies texts and judgments, whatever their ids and the schema of their files: equal data has equal plans. A
  // dataset of an older version uses its digest, and a passage its number.
  virtual const std::string& content_digest() const { return digest(); }
  virtual uint64_t passage_digest(uint32_t passage) const { return passage; }

  virtual const std::vector<std::string>& sources() const = 0;
  virtual const std::vector<std::string>& splits() const = 0;
  // Judgments of a query in a split (index into splits()).
  virtual std::span<const Judgment> judgments(uint32_t split, uint32_t query) const = 0;
  // A teacher's scores, one per element of judgments(), finite or kNoScore; empty: no judgment of the split has one.
  virtual std::span<const float> scores(uint32_t /*split*/, uint32_t /*query*/) const { return {}; }
};

// The text that a passage's tokens are made of: "title body" with one space, or only the body if there is no title.
std::string PassageText(std::string_view title, std::string_view body);

}  // namespace muster
