// Imports: files of every schema, compressed or not, in any pieces. Laws: an accepted import opens as a dataset with the
// reported counts, and every text, row and index in it can be read.
#include "coordinator/data/import/importer.h"

#include "coordinator/data/dataset.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/read_dataset.h"
#include "tests/fuzz/scratch.h"

namespace muster {
namespace {

constexpr const char* kPaths[] = {"corpus.jsonl", "queries.jsonl",   "qrels/train.tsv", "qrels/dev.tsv", "a.jsonl",
                                  "b.json",       "corpus.jsonl.gz", "a.jsonl.zst",     "other.bin",     "x/corpus.jsonl",
                                  "a.csv",        "train.tsv",       "collection.tsv",  "a.qrels",       "triples.tsv"};
constexpr const char* kSchemas[] = {"",          "beir",       "flagembedding", "nonsense", "msmarco",     "tevatron", "sentence-transformers", "dpr", "nemo",
                                    "ms-swift", "pylate-kd", "contrastors",   "llamaindex", "arctic", "scored-lists", "trec"};

absl::StatusOr<muster::v1::ImportReport> Import(ByteSource& source, const std::filesystem::path& folder) {
  muster::v1::ImportHeader header;
  header.set_name("d");
  header.set_schema(kSchemas[source.Below(std::size(kSchemas))]);
  header.set_skip_bad(source.Below(3));
  if (source.Coin()) header.set_source(source.ShortBytes());
  absl::StatusOr<std::unique_ptr<Importer>> importer = Importer::Create(header, folder);
  if (!importer.ok()) return importer.status();
  while (!source.empty()) {
    const size_t pick = source.Below(std::size(kPaths) + 1);
    const std::string path = pick < std::size(kPaths) ? kPaths[pick] : source.ShortBytes();
    if (absl::Status status = (*importer)->BeginFile(path); !status.ok()) return status;
    const size_t piece = 1 + source.Byte() * size_t{16};
    const std::string content = source.Bytes();
    for (size_t at = 0; at < content.size(); at += piece) {
      if (absl::Status status = (*importer)->Chunk(std::string_view(content).substr(at, piece)); !status.ok()) return status;
    }
  }
  return (*importer)->Finish();
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const muster::FuzzFolder scratch;
  const std::filesystem::path folder = scratch.Fresh("d");
  muster::ByteSource source(data, size);
  const auto report = muster::Import(source, folder);
  if (!report.ok()) {
    FUZZ_CHECK(!report.status().message().empty(), "an error without words");
    return 0;
  }
  const auto dataset = muster::Dataset::Open(folder);
  FUZZ_CHECK(dataset.ok(), dataset.status().ToString());
  FUZZ_CHECK((*dataset)->queries() == report->dataset().queries(), "the report counts otherwise");
  FUZZ_CHECK((*dataset)->digest() == report->dataset().digest(), "the report has another digest");
  muster::ReadAll(**dataset);
  return 0;
}
