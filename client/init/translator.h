// Builds the job file from a tool's arguments.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/init/arguments.h"
#include "client/init/job_draft.h"
#include "client/init/translate.h"

namespace muster {

// Not thread-safe. The arguments and options outlive it.
class Translator {
 public:
  Translator(const ToolArguments& arguments, const TranslateOptions& options) : arguments_(arguments), options_(options) {}

  absl::StatusOr<Translation> Run();

  const std::string& tool() const { return result_.tool; }
  uint32_t processes() const { return options_.processes; }  // as the user gave it; 0: from the arguments
  const JobDraft& draft() const { return draft_; }
  const Argument* Find(std::string_view key) const;  // null: none

  // Sets a field. If it already has this value, keeps its comment.
  absl::Status Set(const std::string& field, const std::string& value, const std::string& comment);
  // Sets the field to `value` because of the argument, which counts as translated.
  absl::Status SetFrom(const Argument& argument, const std::string& field, const std::string& value,
                       const std::string& more = "");
  absl::Status Copy(const Argument& argument, const std::string& field);
  absl::Status Harmless(const Argument& argument, std::string_view why);

 private:
  absl::Status CheckTool() const;
  absl::Status Translate(const Argument& argument);
  void NotTranslated(const Argument& argument, const std::string& why);
  void FillRequired();
  void Finish();

  const ToolArguments& arguments_;
  const TranslateOptions& options_;
  JobDraft draft_;
  Translation result_;
  std::vector<std::string> harmless_, not_translated_;
};

}  // namespace muster
