#include "client/report/settings.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/html_text.h"
#include "client/init/job_draft.h"
#include "client/words.h"

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using muster::v1::JobSpec;

// The shortest text that parses to the same number.
template <typename Number>
std::string ShortestText(Number value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

// A YAML scalar on one line. Escapes invisible characters in quoted texts.
std::string OneLineScalar(const std::string& text) {
  const std::string scalar = YamlScalar(text);
  std::string visible;
  for (size_t i = 0; i < scalar.size(); ++i) {
    const size_t bytes = DeceptiveBytesAt(scalar, i);
    if (bytes == 0) {
      visible += scalar[i];
      continue;
    }
    const auto byte = [&](size_t k) { return static_cast<unsigned>(static_cast<unsigned char>(scalar[i + k])); };
    const unsigned code = bytes == 1   ? byte(0)
                          : bytes == 2 ? (byte(0) & 0x1Fu) << 6 | (byte(1) & 0x3Fu)
                                       : (byte(0) & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
    absl::StrAppendFormat(&visible, "\\u%04X", code);
    i += bytes - 1;
  }
  return visible;
}

std::string SingleValue(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: return OneLineScalar(reflection.GetString(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL: return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32: return absl::StrCat(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64: return absl::StrCat(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32: return absl::StrCat(reflection.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64: return absl::StrCat(reflection.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT: return ShortestText(reflection.GetFloat(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE: return ShortestText(reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_ENUM: return WordOf(*reflection.GetEnum(message, &field));
    case FieldDescriptor::CPPTYPE_MESSAGE: return "";
  }
  return "";
}

// The fields that are set, in the order of the message.
std::vector<const FieldDescriptor*> SetFields(const Message& message) {
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const bool is_set = field->is_repeated() ? reflection.FieldSize(message, field) > 0 : reflection.HasField(message, field);
    if (is_set) fields.push_back(field);
  }
  return fields;
}

std::string FlowMap(const Message& message);

std::string ListValue(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  std::vector<std::string> items;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        items.push_back(OneLineScalar(reflection.GetRepeatedString(message, &field, i)));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        items.push_back(absl::StrCat(reflection.GetRepeatedUInt32(message, &field, i)));
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        items.push_back(ShortestText(reflection.GetRepeatedFloat(message, &field, i)));
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        items.push_back(FlowMap(reflection.GetRepeatedMessage(message, &field, i)));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_ENUM:
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64: break;  // no job file has a list of these
    }
  }
  return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
}

// {a: 1, b: {c: 2}}
std::string FlowMap(const Message& message) {
  std::vector<std::string> entries;
  for (const FieldDescriptor* field : SetFields(message)) {
    const bool is_map = !field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    entries.push_back(absl::StrCat(field->name(), ": ",
                                   field->is_repeated() ? ListValue(message, *field)
                                   : is_map             ? FlowMap(message.GetReflection()->GetMessage(message, field))
                                                        : SingleValue(message, *field)));
  }
  return absl::StrCat("{", absl::StrJoin(entries, ", "), "}");
}

void AddSettings(const Message& message, const std::string& prefix, const std::vector<int>& order,
                 std::vector<Setting>& settings) {
  for (const FieldDescriptor* set : SetFields(message)) {
    const FieldDescriptor& field = *set;
    std::vector<int> place = order;
    place.push_back(field.index());
    const std::string path = absl::StrCat(prefix, field.name());
    if (field.is_repeated()) {
      settings.push_back({path, ListValue(message, field), place});
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AddSettings(message.GetReflection()->GetMessage(message, &field), absl::StrCat(path, "."), place, settings);
    } else {
      settings.push_back({path, SingleValue(message, field), place});
    }
  }
}

}  // namespace

std::vector<Setting> SettingsOf(const JobSpec& spec) {
  std::vector<Setting> settings;
  AddSettings(spec, "", {}, settings);
  return settings;
}

std::string JobFileOf(const JobSpec& spec) {
  std::string text;
  std::vector<std::string> open;  // sections of the previous line
  for (const Setting& setting : SettingsOf(spec)) {
    const std::vector<std::string> names = absl::StrSplit(setting.field, '.');
    size_t shared = 0;
    while (shared < open.size() && shared + 1 < names.size() && open[shared] == names[shared]) ++shared;
    open.assign(names.begin(), names.end() - 1);
    for (size_t i = shared; i < open.size(); ++i) absl::StrAppend(&text, std::string(2 * i, ' '), open[i], ":\n");
    absl::StrAppend(&text, std::string(2 * open.size(), ' '), names.back(), ": ", setting.value, "\n");
  }
  return text;
}

std::vector<DifferingSetting> DifferingSettings(absl::Span<const JobSpec> specs) {
  std::map<std::vector<int>, DifferingSetting> all;  // in the order of the messages
  for (size_t s = 0; s < specs.size(); ++s) {
    for (Setting& setting : SettingsOf(specs[s])) {
      DifferingSetting& entry = all[setting.order];
      entry.field = setting.field;
      entry.values.resize(specs.size());
      entry.values[s] = std::move(setting.value);
    }
  }
  std::vector<DifferingSetting> differing;
  for (auto& [order, setting] : all) {
    const auto is_first = [&first = setting.values[0]](const std::string& value) { return value == first; };
    if (setting.field == "name" || std::ranges::all_of(setting.values, is_first)) continue;
    differing.push_back(std::move(setting));
  }
  return differing;
}

}  // namespace muster
