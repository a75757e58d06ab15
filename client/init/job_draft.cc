#include "client/init/job_draft.h"

#include <google/protobuf/descriptor.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/job_file.h"
#include "common/status.h"
#include "muster/v1/job.pb.h"

namespace muster {
namespace {

constexpr size_t kCommentColumn = 48;

// Every field of a specification, in the order of the messages; `name` and `profile` first.
void AddFields(const std::string& prefix, const google::protobuf::Descriptor& type, std::vector<std::string>& fields) {
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    const std::string path = absl::StrCat(prefix, field.name());
    // A list of messages is one value.
    if (field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated()) {
      AddFields(absl::StrCat(path, "."), *field.message_type(), fields);
    } else {
      fields.push_back(path);
    }
  }
}

std::vector<std::string> FieldOrder() {
  std::vector<std::string> fields;
  AddFields("", *muster::v1::JobSpec::descriptor(), fields);
  std::ranges::stable_partition(fields, [](const std::string& field) { return field == "name" || field == "profile"; });
  return fields;
}

// Removes control characters, because a comment ends at the end of its line.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return text;
}

// The lines of one field; sections in `open` are not repeated.
void AppendField(const std::string& field, const std::string& value, const std::string& comment,
                 std::vector<std::string>& open, std::string& text) {
  const std::vector<std::string> names = absl::StrSplit(field, '.');
  size_t shared = 0;
  while (shared < open.size() && shared + 1 < names.size() && open[shared] == names[shared]) ++shared;
  open.assign(names.begin(), names.end() - 1);
  for (size_t i = shared; i + 1 < names.size(); ++i) absl::StrAppend(&text, std::string(2 * i, ' '), names[i], ":\n");
  std::string line = absl::StrCat(std::string(2 * (names.size() - 1), ' '), names.back(), ": ", value);
  if (!comment.empty()) {
    line.resize(std::max(line.size() + 2, kCommentColumn), ' ');
    absl::StrAppend(&line, "# ", OneLine(comment));
  }
  absl::StrAppend(&text, line, "\n");
}

}  // namespace

std::string YamlScalar(const std::string& text) {
  YAML::Emitter emitter;
  emitter << YAML::DoubleQuoted << text;
  const std::string quoted = emitter.c_str();
  const bool plain = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c == '-' || c == '/';
  });
  // Words that YAML reads as something else, and "-", are quoted.
  return plain && text.find_first_not_of('-') != std::string::npos && YAML::Load(text).IsScalar() ? text : quoted;
}

absl::Status JobDraft::Set(const std::string& field, const std::string& value, const std::string& comment) {
  std::string text;
  std::vector<std::string> open;
  AppendField(field, value, "", open, text);
  if (const auto read = ReadJobText("value", text); !read.ok()) return read.status();
  fields_[field] = {value, comment};
  return absl::OkStatus();
}

std::string JobDraft::ValueOf(const std::string& field) const {
  const auto found = fields_.find(field);
  return found == fields_.end() ? "" : found->second.value;
}

std::string JobDraft::Text() const {
  std::string text;
  const auto comments = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      absl::StrAppend(&text, line.empty() ? "#" : "# ", OneLine(line), "\n");
    }
  };
  comments(before_);
  std::vector<std::string> open;
  for (const std::string& field : FieldOrder()) {
    const auto found = fields_.find(field);
    if (found != fields_.end()) AppendField(field, found->second.value, found->second.comment, open, text);
  }
  if (!after_.empty()) absl::StrAppend(&text, "\n");
  comments(after_);
  return text;
}

}  // namespace muster
