#include "coordinator/data/import/json_text.h"

#include <simdjson.h>

#include <cctype>
#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;
constexpr int kMaxDepth = 64;

// The value of four hexadecimal digits at `position`, or -1.
int HexDigits(std::string_view text, size_t position) {
  if (position + 4 > text.size()) return -1;
  int value = 0;
  for (size_t i = position; i < position + 4; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (std::isxdigit(c) == 0) return -1;
    value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

bool IsHigh(int unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool IsLow(int unit) { return unit >= 0xDC00 && unit < 0xE000; }

// Calls `take(position, unit)` for each \uXXXX of the text.
template <typename Take>
void ForEachUnit(std::string_view text, const Take& take) {
  for (size_t i = text.find('\\'); i != std::string_view::npos && i + 1 < text.size(); i = text.find('\\', i)) {
    if (text[i + 1] == 'u') {
      const int unit = HexDigits(text, i + 2);
      if (unit >= 0) take(i, unit);
    }
    i += 2;
  }
}

// Replaces halves of surrogate pairs. Returns how many there are; 0: `repaired` is unchanged.
uint64_t ReplaceHalves(std::string_view text, std::string& repaired) {
  uint64_t replaced = 0;
  size_t pair_end = 0;  // the position after the second unit of a pair
  ForEachUnit(text, [&](size_t position, int unit) {
    if (position < pair_end || (!IsHigh(unit) && !IsLow(unit))) return;
    if (IsHigh(unit) && text.substr(position + 6, 2) == "\\u" && IsLow(HexDigits(text, position + 8))) {
      pair_end = position + 12;
      return;
    }
    if (replaced++ == 0) repaired.assign(text);
    std::memcpy(repaired.data() + position, "\\ufffd", 6);
  });
  return replaced;
}

// Accepts every event and records where the text stops being JSON.
struct ErrorPosition final : nlohmann::json_sax<nlohmann::json> {
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
  size_t position = 0;  // from 1; 0: it is JSON
};

absl::Status NotUtf8(std::string_view text, size_t invalid) {
  const auto byte = static_cast<unsigned char>(text[invalid]);
  return absl::InvalidArgumentError(absl::StrFormat(
      "expected UTF-8, byte %d of the line (0x%02X) is not. If the file is in Latin-1 or Windows-1252, convert it: "
      "iconv -f WINDOWS-1252 -t UTF-8",
      invalid + 1, byte));
}

absl::Status HasNul(absl::string_view what, size_t position) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected text without NUL, byte ", position + 1, " of the line is ", what));
}

// NaN and Infinity, as Python writes them, at or around a position from 1.
std::string_view NotANumber(std::string_view text, size_t position) {
  const size_t from = position < 2 ? 0 : position - 2;
  for (const std::string_view word : {"NaN", "-Infinity", "Infinity"}) {
    for (size_t begin = from; begin < position; ++begin) {
      if (text.substr(begin).starts_with(word)) return word;
    }
  }
  return "";
}

absl::Status NotJson(std::string_view text) {
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) return HasNul("NUL (0x00)", nul);
  ErrorPosition error;
  nlohmann::json::sax_parse(text, &error);
  if (error.position == 0) {
    return absl::InvalidArgumentError(absl::StrCat("expected at most ", kMaxDepth, " levels of brackets"));
  }
  if (error.position > text.size()) return absl::InvalidArgumentError("expected a JSON object, the record ends early");
  if (const std::string_view word = NotANumber(text, error.position); !word.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("expected a finite number, found ", ToAbsl(word), " at byte ",
                                                   text.rfind(word, error.position) + 1,
                                                   " of the line, which JSON does not have: write a number or null"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected a JSON object, the text is not JSON from byte ", error.position));
}

// The value; the caller has checked its type.
template <typename T>
T As(simdjson::dom::element element) {
  T value{};
  if (element.get(value) != simdjson::SUCCESS) return T{};
  return value;
}

// False: too deep.
bool Append(simdjson::dom::element element, std::string_view key, int depth, InputRecord& record, bool& has_nul) {
  using Type = simdjson::dom::element_type;
  if (depth > kMaxDepth) return false;
  switch (element.type()) {
    case Type::NULL_VALUE: record.Add(Kind::kNull, key); return true;
    case Type::BOOL: record.Add(Kind::kBool, key, {}, As<bool>(element) ? 1 : 0); return true;
    case Type::DOUBLE: record.Add(Kind::kNumber, key, {}, As<double>(element)); return true;
    case Type::UINT64: record.AddInteger(key, As<uint64_t>(element), false); return true;
    case Type::INT64: {
      const auto value = As<int64_t>(element);
      const auto magnitude = value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
      record.AddInteger(key, magnitude, value < 0);
      return true;
    }
    case Type::STRING: {
      const auto text = As<std::string_view>(element);
      has_nul |= !text.empty() && std::memchr(text.data(), 0, text.size()) != nullptr;
      record.Add(Kind::kText, key, text);
      return true;
    }
    case Type::ARRAY: {
      const uint32_t index = record.Add(Kind::kList, key);
      for (const simdjson::dom::element item : As<simdjson::dom::array>(element)) {
        if (!Append(item, {}, depth + 1, record, has_nul)) return false;
      }
      record.Close(index);
      return true;
    }
    case Type::OBJECT: {
      const uint32_t index = record.Add(Kind::kObject, key);
      for (const simdjson::dom::key_value_pair field : As<simdjson::dom::object>(element)) {
        if (!Append(field.value, field.key, depth + 1, record, has_nul)) return false;
      }
      record.Close(index);
      return true;
    }
  }
  return false;
}

// Reads JSON that simdjson refuses because an integer has more than 64 bits; such integers become floating-point numbers.
bool AppendSlowly(const nlohmann::json& value, std::string_view key, int depth, InputRecord& record, bool& has_nul) {
  if (depth > kMaxDepth) return false;
  if (value.is_boolean()) {
    record.Add(Kind::kBool, key, {}, value.get<bool>() ? 1 : 0);
  } else if (value.is_number_unsigned()) {
    record.AddInteger(key, value.get<uint64_t>(), false);
  } else if (value.is_number_integer()) {
    record.AddInteger(key, uint64_t{0} - static_cast<uint64_t>(value.get<int64_t>()), true);
  } else if (value.is_number()) {
    record.Add(Kind::kNumber, key, {}, value.get<double>());
  } else if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    has_nul |= text.find('\0') != std::string::npos;
    record.Add(Kind::kText, key, text);
  } else if (value.is_structured()) {
    const uint32_t index = record.Add(value.is_array() ? Kind::kList : Kind::kObject, key);
    for (auto item = value.begin(); item != value.end(); ++item) {
      const std::string_view name = value.is_object() ? std::string_view(item.key()) : std::string_view();
      if (!AppendSlowly(*item, name, depth + 1, record, has_nul)) return false;
    }
    record.Close(index);
  } else {
    record.Add(Kind::kNull, key);
  }
  return true;
}

}  // namespace

struct JsonParser::State {
  simdjson::dom::parser parser;
  std::string padded;
  nlohmann::json slow;  // owns the record's texts where simdjson refused the record
};

JsonParser::JsonParser() : state_(std::make_unique<State>()) {}
JsonParser::~JsonParser() = default;

absl::Status JsonParser::Parse(std::string_view text, InputRecord& record) {
  record.Clear();
  uint64_t halves = 0;
  if (text.find("\\u") != std::string_view::npos) halves = ReplaceHalves(text, repaired_);
  const std::string_view whole = halves > 0 ? std::string_view(repaired_) : text;
  std::string& padded = state_->padded;
  if (padded.size() < whole.size() + simdjson::SIMDJSON_PADDING) {
    padded.resize(2 * whole.size() + simdjson::SIMDJSON_PADDING);
  }
  std::memcpy(padded.data(), whole.data(), whole.size());
  simdjson::dom::element root;
  const auto error = state_->parser.parse(padded.data(), whole.size(), false).get(root);
  bool has_nul = false;
  bool read = error == simdjson::SUCCESS && Append(root, {}, 0, record, has_nul);
  if (error == simdjson::NUMBER_ERROR) {
    const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) { return depth <= kMaxDepth; };
    state_->slow = nlohmann::json::parse(whole, shallow, false);
    record.Clear();
    read = !state_->slow.is_discarded() && AppendSlowly(state_->slow, {}, 0, record, has_nul);
  }
  if (!read) {
    record.Clear();
    const size_t invalid = FirstInvalidUtf8(text);
    return invalid != std::string_view::npos ? NotUtf8(text, invalid) : NotJson(text);
  }
  if (has_nul) {
    size_t nul = 0;
    bool found = false;
    ForEachUnit(text, [&](size_t position, int unit) {
      if (unit == 0 && !found) nul = position, found = true;
    });
    return HasNul("an escaped NUL (\\u0000)", nul);
  }
  replaced_ += halves;
  return absl::OkStatus();
}

absl::Status JsonParser::ParseObject(std::string_view text, InputRecord& record) {
  RETURN_IF_ERROR(Parse(text, record));
  if (record.is_object()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("expected a JSON object, found ", ToAbsl(KindOf(record.root()))));
}

}  // namespace muster
