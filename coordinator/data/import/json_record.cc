#include "coordinator/data/import/json_record.h"

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/data/store/normalise.h"

namespace muster {
namespace {

using Json = nlohmann::json;

absl::Status Expected(const char* key, absl::string_view what, absl::string_view found) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" must be ", what, ", found ", found));
}

// What a value is, for people.
absl::string_view KindOf(const Json* value) {
  if (value == nullptr) return "nothing";
  switch (value->type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "a list";
    case Json::value_t::string: return value->get_ref<const std::string&>().empty() ? "an empty string" : "a string";
    case Json::value_t::boolean: return "a boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float: return "a number";
    case Json::value_t::binary:
    case Json::value_t::discarded: return "no JSON";
  }
  return "no JSON";
}

const Json* Find(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found == record.end() ? nullptr : &*found;
}

bool IsAbsent(const Json* value) { return value == nullptr || value->is_null(); }

// Takes every event and keeps where the text stops to be JSON.
struct ErrorPosition final : nlohmann::json_sax<Json> {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) override {
    position = at;
    return false;
  }
  size_t position = 0;  // from 1
};

absl::Status NotJson(std::string_view line) {
  ErrorPosition error;
  Json::sax_parse(line, &error);
  if (error.position > line.size()) return absl::InvalidArgumentError("expected a JSON object, the record ends early");
  return absl::InvalidArgumentError(
      absl::StrCat("expected a JSON object, the text is no JSON from byte ", error.position));
}

}  // namespace

absl::StatusOr<Json> ParseRecord(std::string_view line) {
  const size_t invalid = FirstInvalidUtf8(line);
  if (invalid != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("expected UTF-8, byte ", invalid + 1, " of the line is not"));
  }
  Json record = Json::parse(line, nullptr, false);
  if (record.is_discarded()) return NotJson(line);
  if (!record.is_object()) return absl::InvalidArgumentError(absl::StrCat("expected a JSON object, found ", KindOf(&record)));
  return record;
}

absl::StatusOr<std::string> TextOf(const Json& record, const char* key, bool required) {
  const Json* value = Find(record, key);
  if (!required && IsAbsent(value)) return "";
  if (value == nullptr || !value->is_string()) return Expected(key, "a string", KindOf(value));
  return value->get<std::string>();
}

absl::StatusOr<std::string> IdOf(const Json& record, const char* key) {
  const Json* value = Find(record, key);
  if (value != nullptr && value->is_number_integer()) return value->dump();
  if (value == nullptr || !value->is_string() || value->get_ref<const std::string&>().empty()) {
    return Expected(key, "an id (a string or an integer)", KindOf(value));
  }
  return value->get<std::string>();
}

absl::StatusOr<std::vector<std::string>> TextsOf(const Json& record, const char* key, bool required) {
  constexpr absl::string_view kWhat = "a list of strings";
  const Json* value = Find(record, key);
  if (!required && IsAbsent(value)) return std::vector<std::string>();
  if (value == nullptr || !value->is_array()) return Expected(key, kWhat, KindOf(value));
  std::vector<std::string> texts;
  for (const Json& item : *value) {
    if (!item.is_string()) return Expected(key, kWhat, absl::StrCat(KindOf(&item), " in it"));
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

absl::StatusOr<std::vector<float>> NumbersOf(const Json& record, const char* key) {
  constexpr absl::string_view kWhat = "a list of numbers";
  const Json* value = Find(record, key);
  if (IsAbsent(value)) return std::vector<float>();
  if (!value->is_array()) return Expected(key, kWhat, KindOf(value));
  std::vector<float> numbers;
  for (const Json& item : *value) {
    if (!item.is_number()) return Expected(key, kWhat, absl::StrCat(KindOf(&item), " in it"));
    numbers.push_back(item.get<float>());
    if (!std::isfinite(numbers.back())) return Expected(key, "a list of finite numbers", item.dump());
  }
  return numbers;
}

}  // namespace muster
