#include "client/job_file.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/job_node.h"
#include "client/words.h"
#include "common/nearest_name.h"
#include "common/files.h"
#include "common/spec/foreign_keys.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using muster::v1::JobSpec;

std::string Join(const std::string& path, const std::string& name) {
  return path.empty() ? name : absl::StrCat(path, ".", name);
}

std::string Suggestion(const std::string& wrong, const std::vector<std::string>& names) {
  return absl::StrCat(" ", AllowedNames(wrong, names));
}

std::vector<std::string> FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

// What is wrong with a key that the message does not have.
std::string UnknownKey(const std::string& key, const Descriptor& type) {
  const std::string_view remedy = RemedyForKey(key);
  return remedy.empty() ? absl::StrCat("unknown key.", Suggestion(key, FieldNames(type)))
                        : absl::StrCat("unknown key. ", ToAbsl(remedy));
}

std::vector<std::string> EnumWords(const EnumDescriptor& type) {
  std::vector<std::string> words;
  for (int i = 0; i < type.value_count(); ++i) words.push_back(WordOf(*type.value(i)));
  return words;
}

// POOLING_UNSPECIFIED was POOLING_DEFAULT: files that an older version printed have it.
std::string FormerName(const google::protobuf::EnumValueDescriptor& value) {
  const absl::string_view name = value.name();
  return absl::EndsWith(name, "_UNSPECIFIED") ? absl::StrCat(name.substr(0, name.rfind('_')), "_DEFAULT") : "";
}

// Parses digits, or digits and a unit: 4GiB. Nothing if the text is neither, or too large.
std::optional<uint64_t> ParseSize(const std::string& text) {
  static const std::map<std::string, uint64_t> kUnits = {
      {"", 1},
      {"B", 1},
      {"kB", 1000},
      {"MB", 1000 * 1000},
      {"GB", uint64_t{1000} * 1000 * 1000},
      {"TB", uint64_t{1000} * 1000 * 1000 * 1000},
      {"KiB", uint64_t{1} << 10},
      {"MiB", uint64_t{1} << 20},
      {"GiB", uint64_t{1} << 30},
      {"TiB", uint64_t{1} << 40},
  };
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const size_t unit_begin = std::min(text.find_first_not_of(' ', digits), text.size());
  const auto unit = kUnits.find(text.substr(unit_begin));
  uint64_t number = 0, bytes = 0;
  if (unit == kUnits.end() || !absl::SimpleAtoi(text.substr(0, digits), &number) ||
      __builtin_mul_overflow(number, unit->second, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

// Field → where it was given: "job.yaml:7" or "--set a.b=c".
using Places = std::map<std::string, std::string>;

// Reads YAML nodes into a message, and records their places. `name` is followed by lines only if there are lines.
class Reader {
 public:
  Reader(std::string name, bool has_lines, Places& places)
      : name_(std::move(name)), has_lines_(has_lines), places_(places) {}

  absl::Status ReadMessage(const YAML::Node& node, const std::string& path, Message& message) {
    if (!node.IsMap()) {
      return Wrong(node, path, absl::StrCat("must have keys.", Suggestion("", FieldNames(*message.GetDescriptor()))));
    }
    std::set<std::string> seen;
    std::map<const void*, std::string> alternatives;  // a oneof → the key that set it
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Wrong(entry.first, path, "a key must be a word.");
      const std::string key = entry.first.Scalar();
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(key);
      if (field == nullptr) {
        return Wrong(entry.first, Join(path, key), UnknownKey(key, *message.GetDescriptor()));
      }
      if (!seen.insert(key).second) return Wrong(entry.first, Join(path, key), "is given twice. Remove one.");
      if (const auto* oneof = field->real_containing_oneof(); oneof != nullptr) {
        const auto [other, is_first] = alternatives.emplace(oneof, key);
        if (!is_first) {
          return Wrong(entry.first, Join(path, key),
                       absl::StrCat("excludes ", Join(path, other->second), ". Remove one of them."));
        }
      }
      places_[Join(path, key)] = PlaceOf(entry.first);
      RETURN_IF_ERROR(ReadField(entry.second, Join(path, key), *field, message));
    }
    return absl::OkStatus();
  }

  absl::Status ReadField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                         Message& message) {
    const auto& reflection = *message.GetReflection();
    reflection.ClearField(&message, &field);
    if (node.IsNull()) return absl::OkStatus();
    if (field.is_repeated()) {
      if (!node.IsSequence()) return Wrong(node, path, "must be a list, such as [a, b].");
      const bool of_messages = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
      size_t index = 0;
      for (const YAML::Node& item : node) {
        RETURN_IF_ERROR(of_messages ? AddMessage(item, absl::StrCat(path, "[", index++, "]"), field, message)
                                    : AddItem(item, path, field, message));
      }
      return absl::OkStatus();
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return ReadMessage(node, path, *reflection.MutableMessage(&message, &field));
    }
    if (!node.IsScalar()) return Wrong(node, path, "must be a single value.");
    return ReadScalar(node, path, field, message);
  }

 private:
  std::string PlaceOf(const YAML::Node& node) const {
    return has_lines_ ? absl::StrCat(name_, ":", node.Mark().line + 1) : name_;
  }
  absl::Status Wrong(const YAML::Node& node, const std::string& path, const std::string& what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(PlaceOf(node), ": ", path.empty() ? "" : absl::StrCat(path, ": "), what));
  }

  absl::Status AddMessage(const YAML::Node& item, const std::string& path, const FieldDescriptor& field,
                          Message& message) {
    places_[path] = PlaceOf(item);
    return ReadMessage(item, path, *message.GetReflection()->AddMessage(&message, &field));
  }

  absl::Status AddItem(const YAML::Node& item, const std::string& path, const FieldDescriptor& field,
                       Message& message) {
    const auto& reflection = *message.GetReflection();
    const bool is_text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    if (!item.IsScalar()) return Wrong(item, path, absl::StrCat("must be a list of ", is_text ? "words." : "numbers."));
    const std::string& text = item.Scalar();
    uint32_t whole = 0;
    float number = 0;
    if (is_text) {
      reflection.AddString(&message, &field, text);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32 && absl::SimpleAtoi(text, &whole)) {
      reflection.AddUInt32(&message, &field, whole);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT && absl::SimpleAtof(text, &number)) {
      reflection.AddFloat(&message, &field, number);
    } else {
      return Wrong(item, path, absl::StrCat("\"", text, "\" is not a number that this list can hold."));
    }
    return absl::OkStatus();
  }

  absl::Status ReadScalar(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                          Message& message) {
    const auto& reflection = *message.GetReflection();
    const std::string& text = node.Scalar();
    const auto wrong = [&](const std::string& expected) {
      return Wrong(node, path, absl::StrCat("\"", text, "\" is not a ", expected, "."));
    };
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: reflection.SetString(&message, &field, text); break;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (text != "true" && text != "false") return wrong("truth value: true or false");
        reflection.SetBool(&message, &field, text == "true");
        break;
      case FieldDescriptor::CPPTYPE_UINT32: {
        uint32_t value = 0;
        if (absl::StartsWith(text, "-") || !absl::SimpleAtoi(text, &value)) {
          return wrong("whole number from 0 to 4294967295");
        }
        reflection.SetUInt32(&message, &field, value);
        break;
      }
      case FieldDescriptor::CPPTYPE_INT32: {
        int32_t value = 0;
        if (!absl::SimpleAtoi(text, &value)) return wrong("whole number from -2147483648 to 2147483647");
        reflection.SetInt32(&message, &field, value);
        break;
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        const std::optional<uint64_t> value = ParseSize(text);
        if (!value.has_value()) return wrong("whole number or size, such as 4096 or 4GiB");
        reflection.SetUInt64(&message, &field, *value);
        break;
      }
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        double value = 0;
        if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) return wrong("number");
        if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
          reflection.SetDouble(&message, &field, value);
        } else if (std::abs(value) > std::numeric_limits<float>::max()) {
          return wrong("number of single precision");
        } else {
          reflection.SetFloat(&message, &field, static_cast<float>(value));
        }
        break;
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const EnumDescriptor& type = *field.enum_type();
        for (int i = 0; i < type.value_count(); ++i) {
          if (WordOf(*type.value(i)) == text || type.value(i)->name() == text || FormerName(*type.value(i)) == text) {
            reflection.SetEnum(&message, &field, type.value(i));
            return absl::OkStatus();
          }
        }
        return Wrong(node, path, absl::StrCat("unknown value \"", text, "\".", Suggestion(text, EnumWords(type))));
      }
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_MESSAGE: return wrong("value that this program knows how to read");
    }
    return absl::OkStatus();
  }

  std::string name_;
  bool has_lines_;
  Places& places_;
};

// A broken rule begins with its field: prepends the place of its innermost part that was given.
absl::Status WithPlace(const absl::Status& broken_rule, const std::string& file, const Places& places) {
  const std::string message(broken_rule.message());
  std::string path = message.substr(0, message.find(':'));
  // A section of which only a field was given has the field's place: --set duration.steps=5.
  const auto below = places.lower_bound(absl::StrCat(path, "."));
  if (!path.empty() && places.count(path) == 0 && below != places.end() && absl::StartsWith(below->first, absl::StrCat(path, "."))) {
    return absl::InvalidArgumentError(absl::StrCat(below->second, ": ", message));
  }
  while (!path.empty() && places.count(path) == 0) {
    const size_t dot = path.rfind('.');
    path = dot == std::string::npos ? "" : path.substr(0, dot);
  }
  return absl::InvalidArgumentError(absl::StrCat(path.empty() ? file : places.at(path), ": ", message));
}

// Reads the text literally (it may contain ": "), unless it is quoted or null.
YAML::Node OverrideValue(const std::string& text, const FieldDescriptor& field) {
  const bool quoted = !text.empty() && (text[0] == '"' || text[0] == '\'');
  const bool as_it_stands = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field.is_repeated();
  return as_it_stands && !quoted && text != "null" ? YAML::Node(text) : YAML::Load(text);
}

struct FoundField {
  Message* message;
  const FieldDescriptor* field;
};

// The field at "a.b", in a message that exists afterwards. `place` begins errors.
absl::StatusOr<FoundField> FindField(const std::string& place, const std::string& path, JobSpec& spec) {
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  Message* message = &spec;
  std::string above;
  for (size_t i = 0; i < names.size(); ++i) {
    above = Join(above, names[i]);
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(names[i]);
    if (field == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, ": ", above, ": ", UnknownKey(names[i], *message->GetDescriptor())));
    }
    if (i + 1 == names.size()) return FoundField{message, field};
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_repeated()) {
      return absl::InvalidArgumentError(absl::StrCat(place, ": ", above, " has no fields."));
    }
    message = message->GetReflection()->MutableMessage(message, field);
  }
  return absl::InvalidArgumentError(absl::StrCat(place, ": a key is missing."));
}

absl::Status ApplyOverride(const std::string& text, JobSpec& spec, Places& places) {
  const std::string place = absl::StrCat("--set ", text);
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrCat(place, ": must be FIELD=VALUE, such as loss.temperature=0.02."));
  }
  const std::string path = text.substr(0, equals);
  ASSIGN_OR_RETURN(const FoundField found, FindField(place, path, spec));
  places[path] = place;
  return Reader(place, false, places)
      .ReadField(OverrideValue(text.substr(equals + 1), *found.field), path, *found.field, *found.message);
}

absl::Status CheckRules(const JobSpec& spec, const std::string& name, const Places& places) {
  JobSpec filled = spec;
  FillDefaults(filled);
  const absl::Status status = ValidateJobSpec(filled);
  return status.ok() ? status : WithPlace(status, name, places);
}

// Reads the text and the overrides; `places` records where each field was given.
absl::StatusOr<JobSpec> ReadText(const std::string& name, const std::string& text,
                                 const std::vector<std::string>& overrides, Places& places) {
  JobSpec spec;
  std::string parsed;  // the override that is being parsed; empty: the file
  try {
    const int documents = CountYamlDocuments(text);
    if (documents != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": must hold one job, found ", documents == 0 ? "none." : "several."));
    }
    RETURN_IF_ERROR(Reader(name, true, places).ReadMessage(YAML::Load(text), "", spec));
    for (const std::string& assignment : overrides) {
      parsed = absl::StrCat("--set ", assignment);
      RETURN_IF_ERROR(ApplyOverride(assignment, spec, places));
    }
  } catch (const YAML::Exception& error) {
    const std::string place = parsed.empty() ? absl::StrCat(name, ":", error.mark.line + 1) : parsed;
    return absl::InvalidArgumentError(absl::StrCat(place, ": is not valid YAML: ", error.msg, "."));
  }
  return spec;
}

}  // namespace

absl::StatusOr<JobSpec> ReadJobText(const std::string& name, const std::string& text) {
  Places places;
  return ReadText(name, text, {}, places);
}

absl::StatusOr<JobSpec> ParseJobFile(const std::string& name, const std::string& text,
                                     const std::vector<std::string>& overrides) {
  Places places;
  ASSIGN_OR_RETURN(JobSpec spec, ReadText(name, text, overrides, places));
  RETURN_IF_ERROR(CheckRules(spec, name, places));
  return spec;
}

absl::StatusOr<JobSpec> ReadJobNode(const std::string& name, const YAML::Node& job, const std::vector<JobOverride>& overrides) {
  Places places;
  JobSpec spec;
  RETURN_IF_ERROR(Reader(name, true, places).ReadMessage(job, "", spec));
  for (const JobOverride& one : overrides) {
    const std::string place = absl::StrCat(name, ":", one.value.Mark().line + 1);
    ASSIGN_OR_RETURN(const FoundField found, FindField(place, one.field, spec));
    places[one.field] = place;
    RETURN_IF_ERROR(Reader(name, true, places).ReadField(one.value, one.field, *found.field, *found.message));
  }
  RETURN_IF_ERROR(CheckRules(spec, name, places));
  return spec;
}

absl::StatusOr<JobSpec> ReadJobFile(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const absl::StatusOr<std::string> text = ReadFile(file);
  // A missing file is a wrong argument, not a refusal of the cluster.
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  return ParseJobFile(file.string(), *text, overrides);
}

std::string ValidJobName(const std::string& text) {
  std::string name = absl::AsciiStrToLower(text).substr(0, 63);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-'; }, '-');
  return name;
}

}  // namespace muster
