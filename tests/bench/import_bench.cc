// How fast an import reads, and how much memory it needs at its peak, in one process and on one thread.
//
//   muster-import-bench generate FOLDER --passages 8800000 --queries 500000 --positives 2.9   writes a BEIR folder of random
//                                                                             text; positives per query on average
//   muster-import-bench import PATH...                                        imports files or folders
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/import/importer.h"

namespace muster {
namespace {

constexpr size_t kWordsPerPassage = 56;  // as MS MARCO's: about 340 bytes

std::string Words(std::minstd_rand& random, size_t count) {
  static const std::vector<std::string> vocabulary = [] {
    std::minstd_rand letters(1);
    std::vector<std::string> words(30000);
    for (std::string& word : words) {
      const size_t size = 2 + letters() % 7;
      for (size_t i = 0; i < size; ++i) word += static_cast<char>('a' + letters() % 26);
    }
    return words;
  }();
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += vocabulary[random() % vocabulary.size()];
  }
  return text;
}

// A query has the whole number below or above `positives` of them.
void Generate(const std::filesystem::path& folder, size_t passages, size_t queries, double positives) {
  std::filesystem::create_directories(folder / "qrels");
  std::minstd_rand random(7);
  std::ofstream corpus(folder / "corpus.jsonl"), asked(folder / "queries.jsonl"), qrels(folder / "qrels/train.tsv");
  for (size_t i = 0; i < passages; ++i) {
    corpus << R"({"_id": ")" << i << R"(", "title": "", "text": ")" << Words(random, kWordsPerPassage) << "\"}\n";
  }
  qrels << "query-id\tcorpus-id\tscore\n";
  for (size_t i = 0; i < queries; ++i) {
    asked << R"({"_id": "q)" << i << R"(", "text": ")" << Words(random, 7) << "\"}\n";
    const double extra = static_cast<double>(random() % 1000) / 1000;
    for (auto left = static_cast<size_t>(positives + extra); left > 0; --left) {
      qrels << 'q' << i << '\t' << random() % passages << "\t1\n";
    }
  }
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec); };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string PeakMemory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return line;
  }
  return "VmHWM: not known";
}

std::vector<std::pair<std::filesystem::path, std::string>> FilesOf(const std::vector<std::string>& paths) {
  std::vector<std::pair<std::filesystem::path, std::string>> files;  // file, name
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.emplace_back(path, std::filesystem::path(path).filename());
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) files.emplace_back(entry.path(), entry.path().lexically_relative(path));
    }
  }
  std::ranges::sort(files);
  return files;
}

absl::StatusOr<muster::v1::ImportReport> Import(const std::vector<std::string>& paths, const std::string& schema,
                                                const std::filesystem::path& folder) {
  muster::v1::ImportHeader header;
  header.set_name("bench");
  header.set_schema(schema);
  ASSIGN_OR_RETURN(const auto importer, Importer::Create(header, folder));
  std::string chunk(1 << 20, '\0');
  for (const auto& [file, name] : FilesOf(paths)) {
    RETURN_IF_ERROR(importer->BeginFile(name));
    std::ifstream in(file, std::ios::binary);
    while (in) {
      in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
      RETURN_IF_ERROR(importer->Chunk({chunk.data(), static_cast<size_t>(in.gcount())}));
    }
  }
  const uint64_t bytes = importer->bytes();
  absl::StatusOr<muster::v1::ImportReport> report = importer->Finish();
  std::printf("%.1f MB, %.2f s of CPU, %.1f MB per second of CPU; %s\n", static_cast<double>(bytes) / 1e6, CpuSeconds(),
              static_cast<double>(bytes) / 1e6 / CpuSeconds(), PeakMemory().c_str());
  return report;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  CLI::App app("Measures imports");
  app.require_subcommand(1);
  std::string folder, schema;
  std::vector<std::string> paths;
  size_t passages = 100000, queries = 10000;
  double positives = 1;
  CLI::App* generate = app.add_subcommand("generate");
  generate->add_option("folder", folder)->required();
  generate->add_option("--passages", passages);
  generate->add_option("--queries", queries);
  generate->add_option("--positives", positives, "per query, on average")->check(CLI::Range(1.0, 100.0));
  CLI::App* import = app.add_subcommand("import");
  import->add_option("paths", paths)->required();
  import->add_option("--schema", schema);
  CLI11_PARSE(app, argc, argv);
  if (generate->parsed()) {
    muster::Generate(folder, passages, queries, positives);
    return 0;
  }
  const auto scratch = muster::MakeScratchFolder(std::filesystem::temp_directory_path(), "import-bench");
  const auto report = muster::Import(paths, schema, scratch.value());
  std::filesystem::remove_all(*scratch);
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", std::string(report.status().message()).c_str());
    return 1;
  }
  std::printf("schema %s, %llu queries, %llu documents, digest %s\n", report->schema().c_str(),
              static_cast<unsigned long long>(report->dataset().queries()),
              static_cast<unsigned long long>(report->dataset().passages()), report->dataset().digest().c_str());
  return 0;
}
