#include "common/model/safetensors.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 8 << 20;  // a model of 1024 layers has 3 MB; the format's limit is 100 MB

absl::Status WrongFile(const std::filesystem::path& file, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file.filename().string(), ": ", what));
}

uint64_t BytesOf(absl::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL") return 1;
  return 0;  // not known: its size is not checked
}

absl::StatusOr<SafetensorsEntry> ParseEntry(const std::filesystem::path& file, const std::string& name,
                                            const json& value) {
  const auto wrong = [&](absl::string_view what) { return WrongFile(file, absl::StrCat("tensor ", name, ": ", what)); };
  if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() || !value.contains("shape") ||
      !value["shape"].is_array() || !value.contains("data_offsets") || !value["data_offsets"].is_array() ||
      value["data_offsets"].size() != 2) {
    return wrong("needs dtype, shape and data_offsets");
  }
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = value["dtype"];
  uint64_t elements = 1;
  for (const json& size : value["shape"]) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > (uint64_t{1} << 40)) return wrong("has a wrong shape");
    entry.shape.push_back(size.get<int64_t>());
    if (__builtin_mul_overflow(elements, size.get<uint64_t>(), &elements)) return wrong("is too large");
  }
  for (const json& offset : value["data_offsets"]) {
    if (!offset.is_number_unsigned()) return wrong("has wrong data_offsets");
  }
  entry.begin = value["data_offsets"][0].get<uint64_t>();
  entry.end = value["data_offsets"][1].get<uint64_t>();
  if (entry.end < entry.begin) return wrong("has wrong data_offsets");
  const uint64_t width = BytesOf(entry.dtype);
  if (width != 0 && (entry.end - entry.begin) / width != elements) {
    return wrong(absl::StrCat("has ", entry.end - entry.begin, " bytes, its shape ", ShapeText(entry.shape), " of ",
                              entry.dtype, " needs ", elements * width));
  }
  return entry;
}

}  // namespace

std::string ShapeText(const std::vector<int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

bool IsFloatType(std::string_view dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
  const std::string_view bytes = mapped.bytes();
  uint64_t length = 0;  // little-endian, as every machine that Muster runs on
  if (bytes.size() < sizeof(length)) return WrongFile(file, "is too short for a safetensors file");
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kMaxHeaderBytes || length > bytes.size() - sizeof(length)) {
    return WrongFile(file, absl::StrCat("header of ", length, " bytes does not fit in a file of ", bytes.size(),
                                        ": the file is cut off or no safetensors file"));
  }
  const json header = json::parse(bytes.substr(sizeof(length), length), nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return WrongFile(file, "header is not a JSON object");
  const uint64_t data = sizeof(length) + length;
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    ASSIGN_OR_RETURN(SafetensorsEntry entry, ParseEntry(file, name, value));
    if (entry.end > bytes.size() - data) {
      return WrongFile(file, absl::StrCat("tensor ", name, " ends at byte ", data + entry.end, " of ", bytes.size(),
                                          ": the file is cut off. Copy it again."));
    }
    entry.begin += data;
    entry.end += data;
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace muster
