#include "common/model/json_keys.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/small_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxKeysBytes = 1 << 20;
constexpr int64_t kMaxSize = int64_t{1} << 31;
constexpr size_t kMaxShown = 200;  // bytes of a value in a message

bool IsOff(const json& value) {
  return value.is_null() || value == false || (value.is_number() && value == 0) ||
         (value.is_string() && value.get_ref<const std::string&>().empty()) || (value.is_structured() && value.empty());
}

}  // namespace

std::string ShownValue(const json& value) {
  if (!value.is_primitive()) return value.is_array() ? "a list" : "an object";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = absl::StrCat(text.substr(0, kMaxShown), "…");
  return text;
}

std::string SomeNames(const std::vector<std::string>& names) {
  constexpr size_t kShown = 3, kMaxName = 100;
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    if (shown.size() == kShown) break;
    shown.push_back(name.size() <= kMaxName ? name : absl::StrCat(absl::CHexEscape(name.substr(0, kMaxName)), "…"));
  }
  const std::string text = absl::StrJoin(shown, ", ");
  return names.size() <= kShown ? text : absl::StrCat(text, " and ", names.size() - kShown, " more");
}

absl::StatusOr<json> ReadJsonFile(const std::filesystem::path& folder, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(folder / path, kMaxKeysBytes));
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return absl::InvalidArgumentError(absl::StrCat(path, ": is not JSON"));
  return value;
}

absl::StatusOr<Keys> Keys::Read(const std::filesystem::path& folder, const std::string& path) {
  ASSIGN_OR_RETURN(json value, ReadJsonFile(folder, path));
  if (!value.is_object()) return absl::InvalidArgumentError(absl::StrCat(path, ": must be a JSON object"));
  return Keys(path, std::move(value));
}

absl::StatusOr<Keys> Keys::ReadOptional(const std::filesystem::path& folder, const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(folder / path, error)) return Keys(path, json::object());
  return Read(folder, path);
}

absl::Status Keys::Wrong(std::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(name_, ": ", ToAbsl(what)));
}

bool Keys::Has(std::string_view key) const {
  const auto found = value_.find(key);
  return found != value_.end() && !found->is_null();
}

const json* Keys::Find(std::string_view key) const {
  read_.emplace(key);
  return Has(key) ? &*value_.find(key) : nullptr;
}

absl::Status Keys::Size(std::string_view key, int64_t& target, int64_t least) const {
  const json* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_number_integer() || value->get<int64_t>() < least || value->get<int64_t>() > kMaxSize) {
    return Wrong(absl::StrCat(ToAbsl(key), ": ", ShownValue(*value), " is not a size of at least ", least));
  }
  target = value->get<int64_t>();
  return absl::OkStatus();
}

absl::Status Keys::RequiredSize(std::string_view key, int64_t& target) const {
  if (!Has(key)) return Wrong(absl::StrCat(ToAbsl(key), " is missing"));
  return Size(key, target);
}

absl::Status Keys::Number(std::string_view key, double& target) const {
  const json* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_number()) return Wrong(absl::StrCat(ToAbsl(key), ": ", ShownValue(*value), " is not a number"));
  target = value->get<double>();
  return absl::OkStatus();
}

absl::Status Keys::Boolean(std::string_view key, bool& target) const {
  const json* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_boolean()) {
    return Wrong(absl::StrCat(ToAbsl(key), ": ", ShownValue(*value), " is neither true nor false"));
  }
  target = value->get<bool>();
  return absl::OkStatus();
}

absl::Status Keys::Text(std::string_view key, std::string& target) const {
  const json* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_string()) return Wrong(absl::StrCat(ToAbsl(key), ": ", ShownValue(*value), " is not a string"));
  target = value->get<std::string>();
  return absl::OkStatus();
}

absl::Status Keys::Supported(std::string_view key, std::string_view value,
                                   std::initializer_list<std::string_view> names) const {
  if (std::find(names.begin(), names.end(), value) != names.end()) return absl::OkStatus();
  std::vector<std::string> supported(names.begin(), names.end());
  return Wrong(absl::StrCat(ToAbsl(key), ": ", ShownValue(std::string(value)), " is not supported. Supported: ",
                            absl::StrJoin(supported, ", "), "."));
}

absl::StatusOr<std::vector<std::string>> Keys::UnknownKeys(std::span<const HarmlessKey> harmless) const {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : value_.items()) {
    if (value.is_null() || read_.contains(key)) continue;
    const auto known = std::find_if(harmless.begin(), harmless.end(),
                                    [&](const HarmlessKey& harmless_key) { return harmless_key.name == key; });
    if (known == harmless.end()) {
      unknown.push_back(key);
    } else if (known->only_off && !IsOff(value)) {
      return Wrong(absl::StrCat(key, ": ", ShownValue(value), " is not supported: ", ToAbsl(known->reason)));
    }
  }
  return unknown;
}

absl::Status Keys::RefuseUnknown(std::span<const HarmlessKey> harmless) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> unknown, UnknownKeys(harmless));
  if (unknown.empty()) return absl::OkStatus();
  return Wrong(absl::StrCat("key ", ShownValue(unknown.front()), " (", ShownValue(value_[unknown.front()]),
                            ") is not known, and it may change what the model computes. Remove the key if it does not. "
                            "Muster honors ",
                            absl::StrJoin(read_, ", "), "."));
}

}  // namespace muster
