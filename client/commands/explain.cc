// muster explain [FIELD]
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/explain/field_docs.h"
#include "common/exit_code.h"
#include "common/nearest_name.h"

namespace muster {
namespace {

void Print(const FieldDoc& doc) {
  std::printf("%s: %s", doc.field.c_str(), doc.type.c_str());
  if (!doc.default_value.empty()) {
    const bool required = absl::StartsWith(doc.default_value, "required");
    std::printf(required ? " (%s)" : " (default: %s)", doc.default_value.c_str());
  }
  std::printf("\n");
  if (!doc.meaning.empty()) std::printf("    %s\n", doc.meaning.c_str());
}

// The field and those below it. An empty name means all fields of the top level.
std::vector<FieldDoc> Below(const std::string& name) {
  std::vector<FieldDoc> found;
  for (const FieldDoc& doc : FieldDocs()) {
    const bool top = name.empty() && !absl::StrContains(doc.field, '.');
    if (top || (!name.empty() && (doc.field == name || absl::StartsWith(doc.field, absl::StrCat(name, "."))))) {
      found.push_back(doc);
    }
  }
  return found;
}

absl::StatusOr<int> ExplainField(const Cli& cli, const std::string& name) {
  const std::vector<FieldDoc> docs = Below(name);
  if (docs.empty()) {
    std::vector<std::string> names;
    for (const FieldDoc& doc : FieldDocs()) names.push_back(doc.field);
    return absl::InvalidArgumentError(absl::StrCat("explain: a job file has no key \"", name, "\". ", WhatExists(name, names)));
  }
  if (cli.output != OutputFormat::kTable) {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const FieldDoc& doc : docs) {
      json.push_back({{"field", doc.field}, {"type", doc.type}, {"default", doc.default_value}, {"meaning", doc.meaning}});
    }
    std::printf("%s", Format(nlohmann::ordered_json{{"fields", json}}, cli.output).c_str());
    return kExitSucceeded;
  }
  for (const FieldDoc& doc : docs) Print(doc);
  if (name.empty()) std::printf("\nmuster explain model, or muster explain model.max_length: the keys below it\n");
  return kExitSucceeded;
}

}  // namespace

void AddExplainCommand(CLI::App& app, Cli& cli) {
  auto field = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("explain", "Describe the keys of a job file")->fallthrough();
  command->add_option("field", *field, "A key such as loss.temperature, or one that has others below it; all if left out")
      ->type_name("FIELD");
  command->callback([&cli, field] { cli.action = [&cli, field] { return ExplainField(cli, *field); }; });
  AsksNoCluster(command, cli);
}

}  // namespace muster
