// How results are printed: a table, or JSON or YAML for programs.
#pragma once

#include <google/protobuf/message.h>

#include <cstdio>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace muster {

enum class OutputFormat { kTable, kJson, kYaml };
std::vector<std::pair<std::string, OutputFormat>> OutputFormats();  // with their names

// The terminal's width in columns; 0 if `stream` is not a terminal.
int ColumnsOfTerminal(FILE* stream);

// Columns are as wide as their widest cell; the caller aligns numbers.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // Lines without trailing blanks. If `columns` is not 0, lines are made to fit if possible: the widest cells are cut, but
  // never in the first column, and never to less than the header or 8 columns.
  std::string Text(int columns = 0) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// JSON with the proto's field names. Fields with their default value are printed, too, so that programs can rely on
// every key.
std::string JsonText(const google::protobuf::Message& message);
std::string YamlText(const nlohmann::ordered_json& value);

// JSON or YAML of the message; `format` is not kTable.
std::string Format(const google::protobuf::Message& message, OutputFormat format);
std::string Format(const nlohmann::ordered_json& value, OutputFormat format);

}  // namespace muster
