#include "coordinator/data/tokenize/json_reader.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

}  // namespace

absl::StatusOr<nlohmann::json> ParseJsonObject(std::string_view text, std::string_view file) {
  bool too_deep = false;
  const auto shallow = [&too_deep](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  json object = json::parse(text, shallow, /*allow_exceptions=*/false);
  if (too_deep) return absl::InvalidArgumentError(absl::StrCat(ToAbsl(file), ": is nested deeper than any tokenizer"));
  if (!object.is_object()) return absl::InvalidArgumentError(absl::StrCat(ToAbsl(file), ": is not a JSON object"));
  return object;
}

absl::StatusOr<JsonObject> JsonObject::Of(const nlohmann::json& json, std::string place) {
  if (!json.is_object()) return absl::InvalidArgumentError(absl::StrCat(place, ": must be an object"));
  return JsonObject(json, std::move(place));
}

absl::Status JsonObject::RefuseOthers(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, value] : json_->items()) {
    if (std::ranges::find(known, key) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat(PlaceOf(key), " is not supported"));
    }
  }
  return absl::OkStatus();
}

const nlohmann::json* JsonObject::Find(std::string_view key) const {
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<bool> JsonObject::Bool(std::string_view key, bool otherwise) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) return Error(key, "must be true or false");
  return value->get<bool>();
}

absl::StatusOr<std::string> JsonObject::String(std::string_view key, std::string_view otherwise) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) return Error(key, "must be a string");
  return value->get<std::string>();
}

absl::StatusOr<std::string> JsonObject::String(std::string_view key) const {
  if (Find(key) == nullptr) return Error(key, "is missing");
  return String(key, "");
}

absl::StatusOr<uint64_t> JsonObject::Unsigned(std::string_view key, uint64_t otherwise) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number_unsigned() || value->get<uint64_t>() > UINT32_MAX) {
    return Error(key, "must be a whole number below 2^32");
  }
  return value->get<uint64_t>();
}

absl::StatusOr<uint64_t> JsonObject::Unsigned(std::string_view key) const {
  if (Find(key) == nullptr) return Error(key, "is missing");
  return Unsigned(key, 0);
}

absl::StatusOr<JsonObject> JsonObject::Object(std::string_view key) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return Error(key, "is missing");
  return Of(*value, PlaceOf(key));
}

std::string JsonObject::PlaceOf(std::string_view key) const {
  return absl::StrCat(place_, absl::EndsWith(place_, ".json") ? ": " : ".", ToAbsl(key));
}

absl::Status JsonObject::Error(std::string_view key, std::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(PlaceOf(key), ": ", ToAbsl(what)));
}

}  // namespace muster
