// Records of every schema: JSON texts and plain lines, as each kind of record. Laws: an error has a message, every
// record has an id where it has no text, and no text contains NUL.
#include "coordinator/data/import/json_text.h"
#include "coordinator/data/import/schemas/fields.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"

namespace muster {
namespace {

class CheckingSink final : public RowSink {
 public:
  absl::Status Document(const std::string&, std::string_view title, std::string_view text) override {
    FUZZ_CHECK(title.find('\0') == std::string_view::npos && text.find('\0') == std::string_view::npos, "NUL in a text");
    return absl::OkStatus();
  }
  absl::Status Query(const std::string&, std::string_view text) override { return Document("", "", text); }
  absl::Status Row(const CanonicalRow& row) override {
    FUZZ_CHECK(row.has_query || !row.query_id.empty(), "a query without text and id");
    for (const CanonicalPassage& passage : row.passages) {
      FUZZ_CHECK(passage.has_text || !passage.id.empty(), "a passage without text and id");
      FUZZ_CHECK(passage.grade == passage.grade, "a grade that is not a number");
    }
    return absl::OkStatus();
  }
  void Leave(LeftOut) override {}
};

void Read(const RecordKind& kind, const InputRecord& record) {
  CheckingSink sink;
  const absl::Status status = kind.read(record, sink);
  FUZZ_CHECK(status.ok() || !status.message().empty(), "an error without words");
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  muster::InputRecord line;
  line.Add(muster::InputRecord::Kind::kText, {}, text);
  static muster::JsonParser parser;
  muster::InputRecord record;
  const bool is_object = parser.ParseObject(text, record).ok();
  for (const muster::RecordKind& kind : muster::RecordKinds()) {
    for (const std::string_view path : {"queries.tsv", "collection.tsv", "qrels/a.tsv", "triples.tsv", "corpus.jsonl"}) {
      // The file reader refuses lines with NUL before a schema sees them.
      if (text.find('\0') == std::string_view::npos && kind.matches(path, line)) muster::Read(kind, line);
    }
    if (!is_object) continue;
    (void)kind.matches("rows.jsonl", record);
    for (const bool untyped : {false, true}) {
      record.untyped = untyped;
      muster::Read(kind, record);
    }
  }
  return 0;
}
