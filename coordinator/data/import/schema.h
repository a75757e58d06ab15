// The schemas of users' files: how a record is recognized, and which canonical rows it means.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/import/canonical.h"
#include "coordinator/data/import/record.h"

namespace muster {

// One kind of record. A file holds records of one kind.
struct RecordKind {
  enum class Holds { kDocuments, kQueries, kJudgments };

  std::string_view schema;  // empty: documents and queries, which can accompany the judgments of every schema with ids
  std::string_view fields;  // a record's keys, for messages: "query, pos, neg"
  Holds holds = Holds::kJudgments;
  // Whether a file with this path and this first record holds such records. In a file of plain lines (TSV without a
  // header, TREC) the record is the line, as a text.
  bool (*matches)(std::string_view path, const InputRecord& record) = nullptr;
  absl::Status (*read)(const InputRecord& record, RowSink& sink) = nullptr;
  // The part of the file's first good record that `read` needs, as InputRecord::columns. Empty: the record is not good.
  std::vector<std::string> (*columns_of)(const InputRecord& record) = nullptr;
  // Fields that --columns may give other names.
  std::vector<std::string_view> columns = {};
};

// All kinds, in the order in which they are tried: judgments first, since they may hold a query's id and text, too.
std::span<const RecordKind> RecordKinds();

std::vector<std::string> SchemaNames();
// "beir (corpus.jsonl, …), flagembedding (query, pos, neg), …", for messages.
std::string KnownSchemas();

// The kind of a file. `schema`: named, or decided by an earlier file; empty: neither. OK and null: no kind fits, which is an
// error only for a file that must have one. INVALID_ARGUMENT: the record fits two kinds with different meanings; the message
// names the flag that decides.
absl::StatusOr<const RecordKind*> DetectKind(std::string_view path, const InputRecord& record, std::string_view schema);
// The kind whose errors are reported when a record fits no kind: the first of the schema; null for an empty or unknown
// name.
const RecordKind* FirstKindOf(std::string_view schema);

// Defined in schemas/: one file per schema.
extern const std::vector<RecordKind> kBeirKinds, kTrecKinds, kMsMarcoKinds, kTevatronKinds, kFlagEmbeddingKinds,
    kSentenceTransformersKinds, kDprKinds, kNemoKinds, kMsSwiftKinds, kScoredKinds, kContrastorsKinds,
    kLlamaIndexKinds, kArcticKinds, kTableKinds;

}  // namespace muster
