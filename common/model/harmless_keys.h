// Keys of the configuration files of transformers and sentence-transformers that change no embedding.
#pragma once

#include <span>

#include "common/model/json_keys.h"

namespace muster {

// Keys that transformers 4 and 5 write into every config.json, whatever the architecture.
std::span<const HarmlessKey> HarmlessTransformerKeys();
// tokenizer_config.json: keys that the tokenizer itself reads, and keys without effect. No other key is allowed.
std::span<const HarmlessKey> HarmlessTokenizerKeys();
// sentence_bert_config.json, and its names in older versions.
std::span<const HarmlessKey> HarmlessSentenceKeys();
// config_sentence_transformers.json.
std::span<const HarmlessKey> HarmlessPromptFileKeys();

}  // namespace muster
