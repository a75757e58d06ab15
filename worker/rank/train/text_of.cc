#include "worker/rank/train/text_of.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/files.h"

namespace muster {

std::string BeginningOf(std::span<const int64_t> ids, const std::filesystem::path& tokenizer) {
  constexpr size_t kTokens = 16;
  const auto first = ids.first(std::min(ids.size(), kTokens));
  const char* rest = ids.size() > kTokens ? " ..." : "";
  const absl::StatusOr<std::string> file = ReadFile(tokenizer / "vocab.txt");
  if (!file.ok()) return absl::StrCat("token ids ", absl::StrJoin(first, " "), rest);
  const std::vector<absl::string_view> vocabulary = absl::StrSplit(*file, '\n');
  std::string text;
  for (const int64_t id : first) {
    const absl::string_view word =
        id >= 0 && id < static_cast<int64_t>(vocabulary.size()) ? absl::StripSuffix(vocabulary[id], "\r") : "?";
    if (absl::StartsWith(word, "##")) {
      absl::StrAppend(&text, word.substr(2));
    } else {
      absl::StrAppend(&text, text.empty() ? "" : " ", word);
    }
  }
  return absl::StrCat("\"", text, rest, "\"");
}

std::optional<std::vector<int64_t>> TokensOfSlot(const PackedBatch& batch, uint32_t slot) {
  int64_t first = 0;
  for (size_t i = 0; i < batch.slots.size(); first += batch.lengths[i++]) {
    if (batch.slots[i] != slot) continue;
    const at::Tensor ids = batch.tokens.narrow(0, first, batch.lengths[i]).to(at::kCPU).contiguous();
    return std::vector<int64_t>(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel());
  }
  return std::nullopt;
}

}  // namespace muster
