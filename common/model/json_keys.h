// The keys of one JSON file of a model folder. Every key must be honored, known to be harmless, or refused by an error that
// names it: reading a key marks it as honored, and RefuseUnknown() checks the rest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

// A key that may be present and changes no embedding: with any value, or only while it is off (false, 0, empty).
struct HarmlessKey {
  std::string_view name;
  std::string_view reason;  // off-only: what the key does when it is on, for the error
  bool only_off = false;
};

// Not thread-safe. A missing key and a null are the same: the target keeps its value.
class Keys {
 public:
  // NOT_FOUND where the file does not exist; INVALID_ARGUMENT unless it is a JSON object of at most 1 MB.
  static absl::StatusOr<Keys> Read(const std::filesystem::path& folder, const std::string& path);
  // The same, but a missing file counts as one without keys.
  static absl::StatusOr<Keys> ReadOptional(const std::filesystem::path& folder, const std::string& path);
  // Keys of an object inside a file; `name` precedes them in errors.
  Keys(std::string name, nlohmann::json object) : name_(std::move(name)), value_(std::move(object)) {}

  bool Has(std::string_view key) const;                        // present and not null; does not mark it
  const nlohmann::json* Find(std::string_view key) const;      // nullptr: absent or null
  absl::Status Size(std::string_view key, int64_t& target, int64_t least = 1) const;
  absl::Status RequiredSize(std::string_view key, int64_t& target) const;
  absl::Status Number(std::string_view key, double& target) const;
  absl::Status Boolean(std::string_view key, bool& target) const;
  absl::Status Text(std::string_view key, std::string& target) const;
  // "FILE: KEY: "VALUE" is not supported. Supported: …" unless `value` is one of `names`.
  absl::Status Supported(std::string_view key, std::string_view value,
                         std::initializer_list<std::string_view> names) const;

  // INVALID_ARGUMENT with the name of the first key that was not read, is not null and is not in `harmless`.
  absl::Status RefuseUnknown(std::span<const HarmlessKey> harmless) const;
  // The keys that RefuseUnknown would refuse as unknown; for files in which an unknown key gets a note. Off-only keys
  // are refused anyway.
  absl::StatusOr<std::vector<std::string>> UnknownKeys(std::span<const HarmlessKey> harmless) const;

  // An error about this file: "FILE: what".
  absl::Status Wrong(std::string_view what) const;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  nlohmann::json value_;
  mutable std::set<std::string, std::less<>> read_;
};

// A value for a message. A list may be nested deeper than dump() can go.
std::string ShownValue(const nlohmann::json& value);

// "a, b, c and 5 more", each cut to 100 bytes, because the names come from files that others wrote.
std::string SomeNames(const std::vector<std::string>& names);

// The parsed file; INVALID_ARGUMENT if it is not JSON or larger than 1 MB. `path` is relative to `folder`.
absl::StatusOr<nlohmann::json> ReadJsonFile(const std::filesystem::path& folder, const std::string& path);

}  // namespace muster
