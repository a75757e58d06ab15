// A .safetensors file of zeros, for tests of its header.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/model/encoder_config.h"

namespace muster {

inline std::string ZeroWeights(const std::vector<TensorShape>& tensors, const std::string& dtype = "F32") {
  nlohmann::json header = nlohmann::json::object();
  uint64_t offset = 0;
  for (const TensorShape& tensor : tensors) {
    uint64_t bytes = dtype == "F64" ? 8 : dtype == "F16" || dtype == "BF16" ? 2 : 4;
    for (const int64_t size : tensor.shape) bytes *= size;
    header[tensor.name] = {{"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text + std::string(offset, '\0');
}

}  // namespace muster
