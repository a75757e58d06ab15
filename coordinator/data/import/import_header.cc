#include "coordinator/data/import/import_header.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/nearest_name.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schema.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

constexpr size_t kMaxSourceName = 63;

// The fields that --columns may name: those of the schema, or of all schemas.
std::vector<std::string> FieldsOf(const std::string& schema) {
  std::set<std::string> fields;
  for (const RecordKind& kind : RecordKinds()) {
    if (!schema.empty() && kind.schema != schema) continue;
    for (const std::string_view field : kind.columns) fields.emplace(field);
  }
  return {fields.begin(), fields.end()};
}

absl::Status CheckColumns(const muster::v1::ImportHeader& header) {
  const std::vector<std::string> fields = FieldsOf(header.schema());
  std::set<std::string> own_names;
  // Sorted by name, so that the same mistake gives the same message.
  const std::map<std::string, std::string> columns(header.columns().begin(), header.columns().end());
  for (const auto& [field, own] : columns) {
    if (std::find(fields.begin(), fields.end(), field) == fields.end()) {
      const std::string of = header.schema().empty() ? "any schema" : absl::StrCat("schema ", header.schema());
      return absl::InvalidArgumentError(absl::StrCat("columns: \"", field, "\" is not a field of ", of, ". Fields: ",
                                                     fields.empty() ? "none, its lines have no names" : absl::StrJoin(fields, ", "), "."));
    }
    if (own.empty() || FirstInvalidUtf8(own) != std::string::npos || !own_names.insert(own).second) {
      return absl::InvalidArgumentError(absl::StrCat("columns: \"", field, "\" needs a name of the file's own, that no other field has."));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckImportHeader(const muster::v1::ImportHeader& header) {
  if (!IsValidName(header.name())) {
    return absl::InvalidArgumentError(
        absl::StrCat("name: \"", header.name(), "\" is not a valid dataset name; ", kNameRule));
  }
  if (!header.split().empty() && !IsValidName(header.split())) {
    return absl::InvalidArgumentError(
        absl::StrCat("split: \"", header.split(), "\" is not a valid split name; ", kNameRule));
  }
  if (header.source().size() > kMaxSourceName || FirstInvalidUtf8(header.source()) != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("source: use at most ", kMaxSourceName, " bytes of UTF-8."));
  }
  const std::vector<std::string> schemas = SchemaNames();
  if (!header.schema().empty() && std::find(schemas.begin(), schemas.end(), header.schema()) == schemas.end()) {
    const std::string nearest = NearestName(header.schema(), schemas);
    return absl::InvalidArgumentError(
        absl::StrCat("schema: unknown value \"", header.schema(), "\". Allowed: ", KnownSchemas(),
                     nearest.empty() ? "." : absl::StrCat(". Did you mean \"", nearest, "\"?")));
  }
  if (header.has_max_missing_share() && !(header.max_missing_share() >= 0 && header.max_missing_share() <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("max_missing_share: must be from 0 to 1, is ", header.max_missing_share(), "."));
  }
  return CheckColumns(header);
}

}  // namespace muster
