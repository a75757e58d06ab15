// The keys of one JSON file of a model folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace muster {

// INVALID_ARGUMENT that names the file.
absl::Status WrongFile(const std::filesystem::path& file, absl::string_view what);

// Reads keys of one file; a wrong type is an error that names the key. An absent key leaves its target as it is.
class Keys {
 public:
  Keys(std::filesystem::path file, nlohmann::json value) : file_(std::move(file)), value_(std::move(value)) {}

  bool Has(const char* key) const { return value_.contains(key) && !value_[key].is_null(); }

  const nlohmann::json* Find(const char* key) const { return Has(key) ? &value_[key] : nullptr; }  // null: absent

  absl::Status Size(const char* key, int64_t& target, int64_t least = 1) const;
  absl::Status RequiredSize(const char* key, int64_t& target) const;
  absl::Status Number(const char* key, double& target) const;
  absl::Status Boolean(const char* key, bool& target) const;
  absl::Status Text(const char* key, std::string& target) const;
  absl::Status Supported(const char* key, absl::string_view value,
                         std::initializer_list<absl::string_view> names) const;
  // An error that names the file.
  absl::Status Wrong(absl::string_view what) const { return WrongFile(file_, what); }

 private:
  std::filesystem::path file_;
  nlohmann::json value_;
};

}  // namespace muster
