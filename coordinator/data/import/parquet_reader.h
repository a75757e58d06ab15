// Reads the rows of a Parquet file as lines of JSON, which a separate program writes: muster-parquet, in the same
// folder as this program.
//
// Arrow stays out of this process: it contains its own OpenSSL and simdjson, whose symbols would hide those of gRPC and
// of this program, and a damaged file can crash only that program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/data/import/line_splitter.h"
#include "coordinator/data/store/table_file.h"

namespace muster {

// Where the program is: in the folder of this program, as the build and the images place it.
std::filesystem::path ParquetProgram();

// Not thread-safe. Parquet's index is at the end of the file, so the bytes go to a scratch file first.
class ParquetReader {
 public:
  // Rows are counted from 1.
  ParquetReader(std::string file, std::filesystem::path program, std::filesystem::path scratch, LineSplitter::Sink sink)
      : file_(std::move(file)), program_(std::move(program)), scratch_(std::move(scratch)), sink_(std::move(sink)) {}
  ~ParquetReader();

  absl::Status Feed(std::string_view bytes);
  // Reads the rows. UNIMPLEMENTED if the program is not installed, INVALID_ARGUMENT if the file is damaged.
  absl::Status Finish();

 private:
  absl::Status ReadRows();

  const std::string file_;
  const std::filesystem::path program_, scratch_;
  const LineSplitter::Sink sink_;
  std::unique_ptr<FILE, int (*)(FILE*)> spool_{nullptr, &std::fclose};
};

}  // namespace muster
