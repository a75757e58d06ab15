// Arguments of other tools. Laws: every argument is counted and named, and the result is a job file.
#include <string>
#include <string_view>

#include "client/init/translate.h"
#include "client/job_file.h"
#include "common/spec/profiles.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto arguments = muster::ReadToolArguments("args", text);
  if (!arguments.ok()) {
    FUZZ_CHECK(!arguments.status().message().empty(), "an error without words");
    return 0;
  }
  const auto& profiles = muster::ToolProfiles();
  const std::string tool(profiles[size % profiles.size()].name);
  const auto translation = muster::TranslateArguments(*arguments, {.source = "args", .tool = tool});
  FUZZ_CHECK(translation.ok(), translation.status().ToString());
  FUZZ_CHECK(translation->translated + translation->harmless + translation->not_translated == arguments->arguments.size(),
             "an argument is not counted");
  const auto job = muster::ReadJobText("job.yaml", translation->job_file);
  FUZZ_CHECK(job.ok(), job.status().ToString());
  FUZZ_CHECK(job->profile() == tool, "another tool's profile");
  return 0;
}
