#include "coordinator/data/import/record.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/json_text.h"
#include "coordinator/data/parquet/unread_value.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;

absl::Status Expected(std::string_view key, absl::string_view what, absl::string_view found) {
  return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must be ", what, ", found ", found));
}

absl::StatusOr<std::string_view> TextIn(InputRecord::Value item, std::string_view key, absl::string_view what) {
  if (item.kind() != Kind::kText) return Expected(key, what, absl::StrCat(ToAbsl(KindOf(item)), " in it"));
  return item.text();
}

// ['a', 'b'] is how Python's csv and pandas write a list; it would otherwise be taken for one text.
bool IsQuotedList(std::string_view text) {
  return (text.starts_with("['") || text.starts_with("[\"")) && text.ends_with(']');
}

// Passes on the values of a list. A cell of CSV may hold a JSON list as text.
template <typename Take>
absl::Status ForEachIn(const InputRecord& record, std::string_view key, bool required, bool allow_one,
                       absl::string_view what, const Take& take) {
  const InputRecord::Value value = record.Find(key);
  if (!required && IsAbsent(value)) return absl::OkStatus();
  if (!value) return Expected(key, what, "nothing");
  if (!allow_one && IsAbsent(value)) return absl::OkStatus();  // some tools save an empty list as null
  // Where one text may be given instead of a list, the text of a typed record is that one, even if it looks like a list.
  if (value.kind() == Kind::kText && (record.untyped || !allow_one)) {
    JsonParser parser;
    InputRecord list;
    if (value.text().starts_with('[') && parser.Parse(value.text(), list).ok() &&
        list.root().kind() == Kind::kList) {
      for (const InputRecord::Value item : list.root()) RETURN_IF_ERROR(take(item));
      return absl::OkStatus();
    }
    if ((record.untyped || !allow_one) && IsQuotedList(value.text())) return Expected(key, what, "a list that is not JSON, as Python prints it");
  }
  if (value.kind() == Kind::kText && (allow_one || record.untyped)) return take(value);
  if (value.kind() != Kind::kList) return Expected(key, what, ToAbsl(KindOf(value)));
  for (const InputRecord::Value item : value) RETURN_IF_ERROR(take(item));
  return absl::OkStatus();
}

}  // namespace

InputRecord::Value InputRecord::Lookup(Value object, std::string_view key) {
  Value found;
  for (const Value value : object) {
    if (value.key() == key) found = value;
  }
  return found;
}

InputRecord::Value InputRecord::Value::Find(std::string_view key) const {
  const Value found = Lookup(*this, key);
  if (found) found.MarkRead();
  return found;
}

void InputRecord::AddUnread(Value value, const std::string& prefix,
                            absl::FunctionRef<void(std::string_view key)> take) const {
  if (value.kind() == Kind::kList) {
    for (const Value item : value) {
      if (item.kind() == Kind::kObject || item.kind() == Kind::kList) AddUnread(item, prefix, take);
    }
    return;
  }
  // An object that was read as a whole, such as a map of ids to texts: none of its keys was read separately.
  bool in_part = false;
  for (const Value field : value) in_part |= field.node().read;
  if (!in_part) return;
  for (const Value field : value) {
    const bool is_structure = field.kind() == Kind::kObject || field.kind() == Kind::kList;
    if (field.node().read) {
      if (is_structure) AddUnread(field, absl::StrCat(prefix, ToAbsl(field.key()), "."), take);
      continue;
    }
    const bool has_value = is_structure ? !field.empty() : field.kind() != Kind::kNull && !(field.kind() == Kind::kText && field.text().empty());
    if (!has_value) continue;
    prefix.empty() ? take(field.key()) : take(absl::StrCat(prefix, ToAbsl(field.key())));
  }
}

void InputRecord::ForEachUnread(absl::FunctionRef<void(std::string_view key)> take) const {
  if (is_object()) AddUnread(root(), "", take);
}

uint32_t InputRecord::Add(Kind kind, std::string_view key, std::string_view text, double number) {
  const auto index = static_cast<uint32_t>(nodes_.size());
  Node& node = nodes_.emplace_back();
  node.kind = kind;
  node.key = key;
  node.text = text;
  node.number = number;
  node.end = index + 1;
  return index;
}

void InputRecord::AddInteger(std::string_view key, uint64_t magnitude, bool negative) {
  const double number = static_cast<double>(magnitude);
  Node& node = nodes_[Add(Kind::kInteger, key, {}, negative ? -number : number)];
  node.magnitude = magnitude;
  node.negative = negative;
}

void InputRecord::Rename(const std::map<std::string, std::string>& names) {
  static const auto* const kCapitals = new std::map<std::string_view, std::string_view>{
      {"ID", "id"},       {"QUERY_ID", "query_id"},       {"QUERY_TEXT", "query_text"}, {"DOCUMENT_ID", "document_id"},
      {"TEXT", "text"},   {"DOCUMENT_TEXT", "document_text"}, {"TITLE", "title"},       {"LABEL", "label"},
      {"QUERY", "query"}, {"RELEVANCE", "relevance"},     {"SCORE", "score"}};
  if (!is_object()) return;
  renamed = !names.empty();
  for (uint32_t index = 1; index < nodes_.size(); index = nodes_[index].end) {
    std::string_view& key = nodes_[index].key;
    if (!key.empty() && key.front() >= 'A' && key.front() <= 'Z') {
      const auto capital = kCapitals->find(key);
      if (capital != kCapitals->end()) key = capital->second;
    }
    if (!renamed) continue;
    const auto found = names.find(std::string(key));
    if (found != names.end()) {
      key = found->second;
    } else if (std::any_of(names.begin(), names.end(), [&](const auto& name) { return name.second == key; })) {
      key = "";
    }
  }
}

std::string_view KindOf(InputRecord::Value value) {
  if (!value) return "nothing";
  switch (value.kind()) {
    case Kind::kNull: return "null";
    case Kind::kBool: return "a boolean";
    case Kind::kInteger:
    case Kind::kNumber: return "a number";
    case Kind::kText: return value.text().empty() ? "an empty string" : "a string";
    case Kind::kList: return "a list";
    case Kind::kObject:
      // For Parquet's types that are not read, the type's name is more useful.
      for (const InputRecord::Value field : value) {
        if (field.key().starts_with(kUnreadValue)) return field.key();
      }
      return "an object";
  }
  return "no JSON";
}

bool IsAbsent(InputRecord::Value value) {
  return !value || value.kind() == Kind::kNull || value.is_empty_cell();
}

absl::StatusOr<std::string_view> TextOf(const InputRecord& record, std::string_view key, bool required) {
  const InputRecord::Value value = record.Find(key);
  if (!required && IsAbsent(value)) return std::string_view();
  if (!value || value.kind() != Kind::kText) return Expected(key, "a string", ToAbsl(KindOf(value)));
  return value.text();
}

absl::StatusOr<std::string> TitleOf(InputRecord::Value value) {
  if (IsAbsent(value)) return std::string();
  if (value.kind() == Kind::kText) return std::string(value.text());
  if (value.kind() == Kind::kInteger) return IdOf(value, "title");
  return Expected("title", "a string", ToAbsl(KindOf(value)));
}

absl::StatusOr<std::string> IdOf(InputRecord::Value value, std::string_view key) {
  if (value && value.kind() == Kind::kInteger) {
    return absl::StrCat(value.node().negative ? "-" : "", value.node().magnitude);
  }
  if (!value || value.kind() != Kind::kText || value.text().empty()) {
    return Expected(key, "an id (a string or an integer)", ToAbsl(KindOf(value)));
  }
  return std::string(value.text());
}

absl::StatusOr<std::string> IdOf(const InputRecord& record, std::string_view key) { return IdOf(record.Find(key), key); }

absl::StatusOr<std::vector<std::string>> TextsOf(const InputRecord& record, std::string_view key, bool required,
                                                 bool allow_one) {
  const absl::string_view what = allow_one ? "a string or a list of strings" : "a list of strings";
  std::vector<std::string> texts;
  RETURN_IF_ERROR(ForEachIn(record, key, required, allow_one, what, [&](InputRecord::Value item) -> absl::Status {
    ASSIGN_OR_RETURN(const std::string_view text, TextIn(item, key, what));
    texts.emplace_back(text);
    return absl::OkStatus();
  }));
  return texts;
}

absl::StatusOr<std::vector<std::string>> IdsOf(const InputRecord& record, std::string_view key, bool required) {
  std::vector<std::string> ids;
  RETURN_IF_ERROR(ForEachIn(record, key, required, false, "a list of ids", [&](InputRecord::Value item) -> absl::Status {
    absl::StatusOr<std::string> id = IdOf(item, key);
    if (!id.ok()) return Expected(key, "a list of ids", absl::StrCat(ToAbsl(KindOf(item)), " in it"));
    ids.push_back(*std::move(id));
    return absl::OkStatus();
  }));
  return ids;
}

absl::StatusOr<float> NumberOf(InputRecord::Value value, std::string_view key, bool untyped) {
  float number = 0;
  if (value && (value.kind() == Kind::kInteger || value.kind() == Kind::kNumber)) {
    number = static_cast<float>(value.number());
  } else if (!value || !untyped || value.kind() != Kind::kText || !absl::SimpleAtof(ToAbsl(value.text()), &number)) {
    return Expected(key, "a number", ToAbsl(KindOf(value)));
  }
  if (!std::isfinite(number)) return Expected(key, "a finite number", absl::StrCat(number));
  return number;
}

absl::StatusOr<std::vector<float>> NumbersOf(const InputRecord& record, std::string_view key) {
  constexpr absl::string_view kWhat = "a list of numbers";
  std::vector<float> numbers;
  RETURN_IF_ERROR(ForEachIn(record, key, false, false, kWhat, [&](InputRecord::Value item) -> absl::Status {
    if (item.kind() != Kind::kInteger && item.kind() != Kind::kNumber && !record.untyped) {
      return Expected(key, kWhat, absl::StrCat(ToAbsl(KindOf(item)), " in it"));
    }
    ASSIGN_OR_RETURN(numbers.emplace_back(), NumberOf(item, key, record.untyped));
    return absl::OkStatus();
  }));
  return numbers;
}

}  // namespace muster
