// One record of a JSONL file: reading it, and saying what is wrong with it.
//
// Errors are INVALID_ARGUMENT whose message says what was expected and what was found, without place and full stop.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

// An object in UTF-8.
absl::StatusOr<nlohmann::json> ParseRecord(std::string_view line);

// A string; an absent or null one is "" where `required` is false.
absl::StatusOr<std::string> TextOf(const nlohmann::json& record, const char* key, bool required = true);
// A string that is not empty, or an integer, which is written in decimal digits.
absl::StatusOr<std::string> IdOf(const nlohmann::json& record, const char* key);
// Lists; an absent or null one is empty where `required` is false.
absl::StatusOr<std::vector<std::string>> TextsOf(const nlohmann::json& record, const char* key, bool required);
absl::StatusOr<std::vector<float>> NumbersOf(const nlohmann::json& record, const char* key);

}  // namespace muster
