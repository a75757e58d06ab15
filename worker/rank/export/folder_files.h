// The text files of an exported folder, as pure functions of what was trained.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/hf_config.h"
#include "worker/rank/export/export.h"

namespace muster {

// Path within the folder → bytes: config.json, modules.json and the modules' config.json, sentence_bert_config.json,
// config_sentence_transformers.json, README.md. Formats: what sentence-transformers 2 to 6 read. Keys of the base model's
// config.json, and prompts that training does not use, are copied.
std::map<std::string, std::string> FolderFiles(const EncoderConfig& config, const ExportOptions& options);

std::string NormalizeFolder(const EncoderConfig& config);  // 2_Normalize, or a higher number if Dense modules precede it

// The tokenizer files that a folder lacks if it only has vocab.txt.
std::string TokenizerConfig(const EncoderConfig& config);
std::string SpecialTokensMap();

// README.md: front matter, data, settings and scores as tables.
std::string ModelCardText(const EncoderConfig& config, const ExportOptions& options);

}  // namespace muster
