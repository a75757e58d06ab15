// The common form of records of every schema: rows of a query and its judged passages, and documents and queries with
// ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/dataset.h"

namespace muster {

enum class Relation : uint8_t {
  kGraded,  // decided by the grade: above 0 relevant, otherwise judged and not relevant
  kNegative,  // to train against
  kIgnored,   // neither a positive nor a negative of the query
};

// What a record says about a query and a passage.
struct RecordedJudgment {
  Relation relation = Relation::kGraded;
  float grade = 1;
  float score = kNoScore;  // of a teacher
};

struct CanonicalPassage : RecordedJudgment {
  std::string id;           // empty: it has none
  bool has_text = true;     // false: the id of a document of another file
  std::string title, text;
};

struct CanonicalRow {
  std::string query_id;  // empty: rows of one query text are one query
  bool has_query = true; // false: query_id names a query of another file
  std::string query;
  std::vector<CanonicalPassage> passages;
  std::string source;    // of these judgments; empty: the import's
};

// Fields that have no meaning here and are left out, or whose meaning a user may not expect; a note says how many records
// had them.
enum class LeftOut : uint8_t { kNegativeScores, kPrompt, kAnswers, kScores, kMargin, kUngradedScores, kTeacherScores };

// Reads canonical rows. INVALID_ARGUMENT is about the record and may be tolerated; other errors end the import.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual absl::Status Document(const std::string& id, std::string_view title, std::string_view text) = 0;
  virtual absl::Status Query(const std::string& id, std::string_view text) = 0;
  virtual absl::Status Row(const CanonicalRow& row) = 0;
  virtual void Leave(LeftOut field) = 0;
};

}  // namespace muster
