// Arguments that need more than a row in the table of rules, by tool.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "client/init/arguments.h"
#include "client/init/job_draft.h"
#include "client/init/translator.h"

namespace muster {

// OK: the argument was translated, or is harmless. Otherwise the reason why it was not translated.
using ArgumentHandler = absl::Status (*)(Translator& job, const Argument& argument);
using ArgumentHandlers = std::map<std::string_view, ArgumentHandler>;  // by the key of the rule

const ArgumentHandlers& TransformersHandlers();
const ArgumentHandlers& TrainingDataHandlers();
const ArgumentHandlers& TevatronAndFlagEmbeddingHandlers();
const ArgumentHandlers& LoraHandlers();
const ArgumentHandlers& SentenceTransformersHandlers();
const ArgumentHandlers& LossHandlers();

// Whether the tool trains adapters, and their rank if no argument sets it.
bool UsesLora(const Translator& job);
std::string ToolsRank(const Translator& job);

}  // namespace muster
