// muster-parquet FILE: writes the rows of a Parquet file to standard output, one JSON object per line. The data server
// starts it for each Parquet file of an import, so that neither Arrow nor a crash caused by a damaged file is inside the
// server.
//
// A value of a type that no schema reads (a time, a decimal, a map, bytes that are not text) becomes an object that names the
// type (kUnreadValue), and the importer counts it as left out.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/util/utf8.h>
#include <parquet/arrow/reader.h>
#include <parquet/properties.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "coordinator/data/parquet/unread_value.h"

namespace {

constexpr int64_t kRowsAtOnce = 1024;
constexpr size_t kFlushBytes = 1 << 20;
constexpr int kMaxDepth = 16;
constexpr rlim_t kMaxMemory = rlim_t{4} << 30;

void AppendText(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void AppendNumber(double number, std::string& out) {
  char text[40];
  out.append(text, std::isfinite(number) ? std::snprintf(text, sizeof text, "%.17g", number) : std::snprintf(text, sizeof text, "NaN"));
}

void AppendUnread(std::string_view type, std::string& out) {
  out += '{';
  AppendText(std::string(muster::kUnreadValue) + std::string(type), out);
  out += ":true}";
}

void AppendBytes(std::string_view bytes, std::string& out) {
  const bool is_text = arrow::util::ValidateUTF8(bytes) && bytes.find('\0') == std::string_view::npos;
  is_text ? AppendText(bytes, out) : AppendUnread("bytes, not UTF-8", out);
}

void Append(const arrow::Array& array, int64_t row, int depth, std::string& out);

void AppendList(const arrow::Array& values, int64_t begin, int64_t end, int depth, std::string& out) {
  out += '[';
  for (int64_t i = begin; i < end; ++i) {
    if (i > begin) out += ',';
    Append(values, i, depth + 1, out);
  }
  out += ']';
}

void AppendStruct(const arrow::StructArray& array, int64_t row, int depth, std::string& out) {
  out += '{';
  for (int i = 0; i < array.num_fields(); ++i) {
    if (i > 0) out += ',';
    AppendText(array.type()->field(i)->name(), out);
    out += ':';
    Append(*array.field(i), row, depth + 1, out);
  }
  out += '}';
}

template <typename Array>
std::string_view ViewOf(const arrow::Array& array, int64_t row) {
  return static_cast<const Array&>(array).GetView(row);
}

template <typename Array>
auto ValueOf(const arrow::Array& array, int64_t row) {
  return static_cast<const Array&>(array).Value(row);
}

void Append(const arrow::Array& array, int64_t row, int depth, std::string& out) {
  if (array.IsNull(row)) {
    out += "null";
    return;
  }
  if (depth > kMaxDepth) return AppendUnread(array.type()->ToString(), out);
  switch (array.type_id()) {
    case arrow::Type::BOOL: out += ValueOf<arrow::BooleanArray>(array, row) ? "true" : "false"; return;
    case arrow::Type::STRING: AppendText(ViewOf<arrow::StringArray>(array, row), out); return;
    case arrow::Type::LARGE_STRING: AppendText(ViewOf<arrow::LargeStringArray>(array, row), out); return;
    case arrow::Type::BINARY: AppendBytes(ViewOf<arrow::BinaryArray>(array, row), out); return;
    case arrow::Type::LARGE_BINARY: AppendBytes(ViewOf<arrow::LargeBinaryArray>(array, row), out); return;
    case arrow::Type::STRING_VIEW: AppendText(ViewOf<arrow::StringViewArray>(array, row), out); return;
    case arrow::Type::BINARY_VIEW: AppendBytes(ViewOf<arrow::BinaryViewArray>(array, row), out); return;
    case arrow::Type::INT8: out += std::to_string(ValueOf<arrow::Int8Array>(array, row)); return;
    case arrow::Type::INT16: out += std::to_string(ValueOf<arrow::Int16Array>(array, row)); return;
    case arrow::Type::INT32: out += std::to_string(ValueOf<arrow::Int32Array>(array, row)); return;
    case arrow::Type::INT64: out += std::to_string(ValueOf<arrow::Int64Array>(array, row)); return;
    case arrow::Type::UINT8: out += std::to_string(ValueOf<arrow::UInt8Array>(array, row)); return;
    case arrow::Type::UINT16: out += std::to_string(ValueOf<arrow::UInt16Array>(array, row)); return;
    case arrow::Type::UINT32: out += std::to_string(ValueOf<arrow::UInt32Array>(array, row)); return;
    case arrow::Type::UINT64: out += std::to_string(ValueOf<arrow::UInt64Array>(array, row)); return;
    case arrow::Type::FLOAT: AppendNumber(ValueOf<arrow::FloatArray>(array, row), out); return;
    case arrow::Type::DOUBLE: AppendNumber(ValueOf<arrow::DoubleArray>(array, row), out); return;
    case arrow::Type::LIST: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      AppendList(*list.values(), list.value_offset(row), list.value_offset(row + 1), depth, out);
      return;
    }
    case arrow::Type::LARGE_LIST: {
      const auto& list = static_cast<const arrow::LargeListArray&>(array);
      AppendList(*list.values(), list.value_offset(row), list.value_offset(row + 1), depth, out);
      return;
    }
    case arrow::Type::FIXED_SIZE_LIST: {
      const auto& list = static_cast<const arrow::FixedSizeListArray&>(array);
      AppendList(*list.values(), list.value_offset(row), list.value_offset(row + 1), depth, out);
      return;
    }
    case arrow::Type::STRUCT: AppendStruct(static_cast<const arrow::StructArray&>(array), row, depth, out); return;
    case arrow::Type::DICTIONARY: {
      const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
      Append(*dictionary.dictionary(), dictionary.GetValueIndex(row), depth, out);
      return;
    }
    default: AppendUnread(array.type()->ToString(), out); return;
  }
}

arrow::Status WriteOut(std::string& out) {
  const bool written = std::fwrite(out.data(), 1, out.size(), stdout) == out.size();
  out.clear();
  return written ? arrow::Status::OK() : arrow::Status::IOError("standard output is closed");
}

arrow::Status WriteRows(const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(const auto file, arrow::io::ReadableFile::Open(path));
  parquet::arrow::FileReaderBuilder builder;
  parquet::ReaderProperties pages = parquet::default_reader_properties();
  pages.enable_buffered_stream();  // one page at a time, not a whole column of a row group
  ARROW_RETURN_NOT_OK(builder.Open(file, pages));
  parquet::ArrowReaderProperties properties(/*use_threads=*/false);
  properties.set_batch_size(kRowsAtOnce);
  properties.set_pre_buffer(false);
  ARROW_ASSIGN_OR_RAISE(const auto reader, builder.properties(properties)->Build());
  ARROW_ASSIGN_OR_RAISE(const auto batches, reader->GetRecordBatchReader());
  std::string out;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const std::shared_ptr<arrow::RecordBatch> batch, batches->Next());
    if (batch == nullptr) return WriteOut(out);
    ARROW_RETURN_NOT_OK(batch->ValidateFull());  // offsets and UTF-8 are checked, because the file is not trusted
    ARROW_ASSIGN_OR_RAISE(const auto rows, batch->ToStructArray());
    for (int64_t row = 0; row < rows->length(); ++row) {
      AppendStruct(*rows, row, 0, out);
      out += '\n';
      if (out.size() > kFlushBytes) ARROW_RETURN_NOT_OK(WriteOut(out));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: muster-parquet FILE\n");
    return 2;
  }
  // A file that claims a huge size can crash this program, but not exhaust the machine's memory.
  const rlimit limit = {kMaxMemory, kMaxMemory};
  setrlimit(RLIMIT_AS, &limit);
  arrow::Status status;
  try {
    status = WriteRows(argv[1]);
  } catch (const std::exception& error) {
    status = arrow::Status::IOError(error.what());
  }
  if (status.ok() && std::fflush(stdout) == 0) return 0;
  std::fprintf(stderr, "%s\n", status.message().substr(0, 500).c_str());
  return 1;
}
