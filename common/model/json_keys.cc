#include "common/model/json_keys.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace muster {
namespace {

using nlohmann::json;

// A value for a message. A list may be nested deeper than dump() can go.
std::string Shown(const json& value) {
  if (value.is_primitive()) return value.dump();
  return value.is_array() ? "a list" : "an object";
}

}  // namespace

absl::Status WrongFile(const std::filesystem::path& file, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file.filename().string(), ": ", what));
}

absl::Status Keys::Size(const char* key, int64_t& target, int64_t least) const {
  if (!Has(key)) return absl::OkStatus();
  if (!value_[key].is_number_integer() || value_[key].get<int64_t>() < least ||
      value_[key].get<int64_t>() > (int64_t{1} << 31)) {
    return WrongFile(file_, absl::StrCat(key, ": ", Shown(value_[key]), " is no size of at least ", least));
  }
  target = value_[key].get<int64_t>();
  return absl::OkStatus();
}

absl::Status Keys::RequiredSize(const char* key, int64_t& target) const {
  if (!Has(key)) return WrongFile(file_, absl::StrCat(key, " is missing"));
  return Size(key, target);
}

absl::Status Keys::Number(const char* key, double& target) const {
  if (!Has(key)) return absl::OkStatus();
  if (!value_[key].is_number()) return WrongFile(file_, absl::StrCat(key, ": ", Shown(value_[key]), " is no number"));
  target = value_[key].get<double>();
  return absl::OkStatus();
}

absl::Status Keys::Boolean(const char* key, bool& target) const {
  if (!Has(key)) return absl::OkStatus();
  if (!value_[key].is_boolean()) {
    return WrongFile(file_, absl::StrCat(key, ": ", Shown(value_[key]), " is neither true nor false"));
  }
  target = value_[key].get<bool>();
  return absl::OkStatus();
}

absl::Status Keys::Text(const char* key, std::string& target) const {
  if (!Has(key)) return absl::OkStatus();
  if (!value_[key].is_string()) return WrongFile(file_, absl::StrCat(key, ": ", Shown(value_[key]), " is no string"));
  target = value_[key].get<std::string>();
  return absl::OkStatus();
}

absl::Status Keys::Supported(const char* key, absl::string_view value,
                             std::initializer_list<absl::string_view> names) const {
  if (std::find(names.begin(), names.end(), value) != names.end()) return absl::OkStatus();
  return WrongFile(
      file_, absl::StrCat(key, ": \"", value, "\" is not supported. Supported: ", absl::StrJoin(names, ", "), "."));
}

}  // namespace muster
