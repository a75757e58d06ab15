#include "common/backup/restore_mark.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr char kFile[] = "restored.json";
constexpr uint64_t kStartsASecond = 1024;

}  // namespace

uint64_t EpochAfterRestore(absl::Time now) { return static_cast<uint64_t>(absl::ToUnixSeconds(now)) * kStartsASecond; }

absl::Status WriteRestoreMark(const std::filesystem::path& folder, const RestoreMark& mark) {
  const nlohmann::json json = {{"backup", mark.backup}, {"complete", mark.complete}, {"epoch", mark.epoch}};
  return WriteFileAtomically(folder / kFile, json.dump(2) + "\n");
}

absl::StatusOr<std::optional<RestoreMark>> ReadRestoreMark(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kFile;
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  if (!text.ok()) return text.status();
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const auto has = [&](const char* key, bool (nlohmann::json::*is)() const noexcept) {
    return json.contains(key) && (json[key].*is)();
  };
  if (!json.is_object() || !has("backup", &nlohmann::json::is_string) || !has("complete", &nlohmann::json::is_boolean) ||
      !has("epoch", &nlohmann::json::is_number_unsigned)) {
    return absl::DataLossError(absl::StrCat(file.string(), ": cannot be read. Restore the backup again."));
  }
  RestoreMark mark;
  mark.backup = json["backup"].get<std::string>();
  mark.complete = json["complete"].get<bool>();
  mark.epoch = json["epoch"].get<uint64_t>();
  if (!mark.complete) {
    return absl::FailedPreconditionError(absl::StrCat(folder.string(), ": the restore of backup ", mark.backup,
                                                      " was not finished. Run muster restore again."));
  }
  return mark;
}

}  // namespace muster
