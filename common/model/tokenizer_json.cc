#include "common/model/tokenizer_json.h"

#include <nlohmann/json.hpp>

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 64;  // writing is recursive

}  // namespace

absl::StatusOr<std::string> UntruncatedTokenizer(const std::string& tokenizer_json) {
  bool too_deep = false;
  const auto shallow = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  Json tokenizer = Json::parse(tokenizer_json, shallow, /*allow_exceptions=*/false);
  if (too_deep) return absl::InvalidArgumentError("tokenizer.json: is nested deeper than any tokenizer");
  if (!tokenizer.is_object()) return absl::InvalidArgumentError("tokenizer.json: is no JSON object");
  tokenizer["truncation"] = nullptr;
  tokenizer["padding"] = nullptr;
  return tokenizer.dump();
}

}  // namespace muster
