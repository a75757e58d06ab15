// Reads objects of a JSON file strictly: an unknown key is an error that names it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// One object and its path, for messages: "tokenizer.json: model.unk_token". Keeps a reference to the JSON.
class JsonObject {
 public:
  // INVALID_ARGUMENT if `json` is not an object.
  static absl::StatusOr<JsonObject> Of(const nlohmann::json& json, std::string place);

  // INVALID_ARGUMENT names the first key that is not in `known`.
  absl::Status RefuseOthers(std::initializer_list<std::string_view> known) const;

  // The value, or null if it is absent or null.
  const nlohmann::json* Find(std::string_view key) const;
  // The value, or `otherwise` if it is absent or null. INVALID_ARGUMENT if it has another type.
  absl::StatusOr<bool> Bool(std::string_view key, bool otherwise) const;
  absl::StatusOr<std::string> String(std::string_view key, std::string_view otherwise) const;
  absl::StatusOr<uint64_t> Unsigned(std::string_view key, uint64_t otherwise) const;  // below 2^32
  // Likewise, but INVALID_ARGUMENT if it is absent or null.
  absl::StatusOr<std::string> String(std::string_view key) const;
  absl::StatusOr<uint64_t> Unsigned(std::string_view key) const;
  absl::StatusOr<JsonObject> Object(std::string_view key) const;

  std::string PlaceOf(std::string_view key) const;
  absl::Status Error(std::string_view key, std::string_view what) const;
  const std::string& place() const { return place_; }
  const nlohmann::json& json() const { return *json_; }

 private:
  JsonObject(const nlohmann::json& json, std::string place) : json_(&json), place_(std::move(place)) {}

  const nlohmann::json* json_;
  std::string place_;
};

// The file's object, nested at most as deep as any tokenizer. `file` is its name.
absl::StatusOr<nlohmann::json> ParseJsonObject(std::string_view text, std::string_view file);

}  // namespace muster
