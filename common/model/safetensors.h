// The header of a .safetensors file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // F32, F16, BF16, I64, …
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes from the start of the file
};
// The header of a .safetensors file, checked against the file's size. Errors name the file and the tensor.
// Source: https://github.com/huggingface/safetensors, "Format".
absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(const std::filesystem::path& file);

std::string ShapeText(const std::vector<int64_t>& shape);  // "[384, 1536]"

bool IsFloatType(std::string_view dtype);  // F64, F32, F16, BF16

}  // namespace muster
