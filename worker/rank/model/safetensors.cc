// Format: https://github.com/huggingface/safetensors, "Format": a little-endian uint64 with the header's size, a JSON
// header, the tensors' bytes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/hf_config.h"
#include "common/status.h"
#include "nlohmann/json.hpp"
#include "worker/rank/model/encoder.h"

namespace muster {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

struct TypeName {
  std::string_view name;
  at::ScalarType type;
};
constexpr TypeName kTypes[] = {{"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16},
                               {"I64", at::kLong},   {"I32", at::kInt},   {"I16", at::kShort}, {"I8", at::kChar},
                               {"U8", at::kByte},    {"BOOL", at::kBool}};

absl::Status WriteAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, "write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> HeaderBytes(std::span<const Parameter> tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const auto& [name, value] : tensors) {
    const auto* known = std::ranges::find(kTypes, value.scalar_type(), &TypeName::type);
    if (known == std::end(kTypes)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, " has type ", c10::toString(value.scalar_type()), ", which is not written"));
    }
    if (header.contains(name)) return absl::InvalidArgumentError(absl::StrCat("two tensors are named ", name));
    header[name] = {{"dtype", known->name},
                    {"shape", value.sizes().vec()},
                    {"data_offsets", {offset, offset + value.nbytes()}}};
    offset += value.nbytes();
  }
  std::string bytes = header.dump();
  bytes.resize((bytes.size() + sizeof(uint64_t) + 63) / 64 * 64 - sizeof(uint64_t), ' ');  // the data begins aligned
  return bytes;
}

absl::Status WriteBody(int file, std::string_view header, std::span<const Parameter> tensors) {
  const uint64_t size = header.size();
  RETURN_IF_ERROR(WriteAll(file, {reinterpret_cast<const char*>(&size), sizeof(size)}));
  RETURN_IF_ERROR(WriteAll(file, header));
  for (const Parameter& tensor : tensors) {
    const at::Tensor dense = tensor.value.detach().to(at::kCPU).contiguous();
    RETURN_IF_ERROR(WriteAll(file, {static_cast<const char*>(dense.const_data_ptr()), dense.nbytes()}));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteSafetensors(const std::filesystem::path& file, std::span<const Parameter> tensors) {
  ASSIGN_OR_RETURN(const std::string header, HeaderBytes(tensors));
  std::string aside = file.string() + ".XXXXXX";
  const int descriptor = mkostemp(aside.data(), O_CLOEXEC);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, absl::StrCat(aside, ": cannot create"));
  auto remove = absl::MakeCleanup([&] { unlink(aside.c_str()); });
  absl::Status status = WriteBody(descriptor, header, tensors);
  if (status.ok() && fchmod(descriptor, 0644) != 0) status = absl::ErrnoToStatus(errno, "fchmod");
  if (status.ok() && fsync(descriptor) != 0) status = absl::ErrnoToStatus(errno, "fsync");
  if (close(descriptor) != 0 && status.ok()) status = absl::ErrnoToStatus(errno, "close");
  if (!status.ok()) return WithContext(status, file.string());
  std::error_code error;
  std::filesystem::rename(aside, file, error);
  if (error) return absl::InternalError(absl::StrCat(file.string(), ": rename: ", error.message()));
  std::move(remove).Cancel();
  return FlushToDisk(file.has_parent_path() ? file.parent_path() : std::filesystem::path("."));
}

absl::StatusOr<at::Tensor> ReadTensor(const MappedFile& mapped, const SafetensorsEntry& entry) {
  const auto* known = std::ranges::find(kTypes, entry.dtype, &TypeName::name);
  if (known == std::end(kTypes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", entry.name, " has type ", entry.dtype, ", which is not read"));
  }
  at::Tensor value = at::empty(entry.shape, known->type);  // torch's allocator aligns to 64 bytes
  if (value.nbytes() != entry.end - entry.begin || entry.end > mapped.size()) {
    return absl::DataLossError(absl::StrCat("tensor ", entry.name, " has ", entry.end - entry.begin,
                                            " bytes, its shape needs ", value.nbytes()));
  }
  std::memcpy(value.mutable_data_ptr(), mapped.bytes().data() + entry.begin, value.nbytes());
  return value;
}

absl::StatusOr<std::vector<Parameter>> ReadSafetensors(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(std::vector<SafetensorsEntry> entries, ReadSafetensorsHeader(file));
  std::ranges::sort(entries, {}, [](const SafetensorsEntry& entry) { return std::pair(entry.begin, entry.end); });
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
  std::vector<Parameter> tensors;
  for (const SafetensorsEntry& entry : entries) {
    absl::StatusOr<at::Tensor> value = ReadTensor(mapped, entry);
    if (!value.ok()) return WithContext(value.status(), file.string());
    tensors.push_back({entry.name, *std::move(value)});
  }
  return tensors;
}

}  // namespace muster
