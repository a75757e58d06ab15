#include "client/output.h"

#include <google/protobuf/util/json_util.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "client/words.h"

namespace muster {
namespace {

constexpr int kBetweenColumns = 2;
constexpr int kLeastColumn = 8;  // the smallest width to which a column is cut

void Emit(YAML::Emitter& out, const nlohmann::ordered_json& value) {
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      Emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const auto& item : value) Emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    const std::string text = value.get<std::string>();
    // Text that YAML would read as a number, a truth value or null is quoted, so that a string stays a string.
    static const std::set<std::string> kOtherwiseNothing = {"", "~", "Null", "NULL"};
    const bool plain = nlohmann::json::parse(text, nullptr, false).is_discarded() && kOtherwiseNothing.count(text) == 0;
    out << (plain ? YAML::Auto : YAML::DoubleQuoted) << text;
  } else {
    out << value.dump();
  }
}

}  // namespace

std::vector<std::pair<std::string, OutputFormat>> OutputFormats() {
  return {{"table", OutputFormat::kTable}, {"json", OutputFormat::kJson}, {"yaml", OutputFormat::kYaml}};
}

int ColumnsOfTerminal(FILE* stream) {
  winsize size{};
  if (isatty(fileno(stream)) == 0 || ioctl(fileno(stream), TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string Table::Text(int columns) const {
  std::vector<int> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], ColumnsOf(row[i]));
  }
  int total = kBetweenColumns * (static_cast<int>(widths.size()) - 1);
  for (const int width : widths) total += width;
  for (; columns > 0 && total > columns; --total) {
    int* widest = nullptr;
    for (size_t i = 1; i < widths.size(); ++i) {
      const int least = std::max(kLeastColumn, i < rows_[0].size() ? ColumnsOf(rows_[0][i]) : 0);
      if (widths[i] > least && (widest == nullptr || widths[i] >= *widest)) widest = &widths[i];
    }
    if (widest == nullptr) break;
    --*widest;
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string cell = FitText(row[i], widths[i]);
      line += cell + std::string(static_cast<size_t>(widths[i] - ColumnsOf(cell) + kBetweenColumns), ' ');
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string JsonText(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : "{}\n";  // fails only on an Any of an unknown type, which no message of ours contains
}

std::string YamlText(const nlohmann::ordered_json& value) {
  YAML::Emitter out;
  Emit(out, value);
  return std::string(out.c_str(), out.size()) + "\n";
}

std::string Format(const google::protobuf::Message& message, OutputFormat format) {
  const std::string json = JsonText(message);
  return format == OutputFormat::kYaml ? YamlText(nlohmann::ordered_json::parse(json)) : json;
}

std::string Format(const nlohmann::ordered_json& value, OutputFormat format) {
  return format == OutputFormat::kYaml ? YamlText(value) : value.dump(2) + "\n";
}

}  // namespace muster
