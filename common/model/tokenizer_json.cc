#include "common/model/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include "common/status.h"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 64;  // writing is recursive

absl::StatusOr<Json> ReadObject(const std::string& text, const std::string& file) {
  bool too_deep = false;
  const auto shallow = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  Json object = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (too_deep) return absl::InvalidArgumentError(file + ": is nested deeper than any tokenizer");
  if (!object.is_object()) return absl::InvalidArgumentError(file + ": is not a JSON object");
  return object;
}

}  // namespace

absl::StatusOr<std::string> UntruncatedTokenizer(const std::string& tokenizer_json) {
  ASSIGN_OR_RETURN(Json tokenizer, ReadObject(tokenizer_json, "tokenizer.json"));
  tokenizer["truncation"] = nullptr;
  tokenizer["padding"] = nullptr;
  return tokenizer.dump();
}

absl::StatusOr<std::string> TokenizerConfigWithLength(const std::string& tokenizer_config_json, int64_t tokens) {
  ASSIGN_OR_RETURN(Json config, ReadObject(tokenizer_config_json, "tokenizer_config.json"));
  config["model_max_length"] = tokens;
  if (config.contains("max_length")) config["max_length"] = tokens;  // older versions of transformers wrote it
  return config.dump(2) + "\n";
}

}  // namespace muster
