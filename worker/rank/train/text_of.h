// For error messages: the beginning of a text, from its token ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "worker/rank/model/encoder.h"

namespace muster {

// The first words, quoted: `"[CLS] red fish swim ..."`. `tokenizer` is a folder with vocab.txt; where that cannot be read,
// the ids themselves.
std::string BeginningOf(std::span<const int64_t> ids, const std::filesystem::path& tokenizer);

// The token ids of a slot; nothing where the batch does not have it.
std::optional<std::vector<int64_t>> TokensOfSlot(const PackedBatch& batch, uint32_t slot);

}  // namespace muster
