#include "coordinator/data/tokenize/tokenizer_json.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/model_json.h"
#include "coordinator/data/tokenize/pipeline.h"
#include "coordinator/data/tokenize/post_processor.h"

namespace muster {
namespace {

using nlohmann::json;

absl::StatusOr<AddedToken> ReadAddedToken(const JsonObject& object) {
  RETURN_IF_ERROR(
      object.RefuseOthers({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
  AddedToken token;
  ASSIGN_OR_RETURN(token.content, object.String("content"));
  ASSIGN_OR_RETURN(token.single_word, object.Bool("single_word", false));
  ASSIGN_OR_RETURN(token.lstrip, object.Bool("lstrip", false));
  ASSIGN_OR_RETURN(token.rstrip, object.Bool("rstrip", false));
  ASSIGN_OR_RETURN(token.normalized, object.Bool("normalized", false));
  ASSIGN_OR_RETURN(token.special, object.Bool("special", false));
  return token;
}

// As in the source, the ids are not those in the file but the vocabulary's; tokens that it lacks follow after it.
absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(const JsonObject& file, const Vocabulary& vocabulary,
                                                        const Normalizer* normalizer) {
  const json* list = file.Find("added_tokens");
  if (list == nullptr) return std::vector<AddedToken>();
  if (!list->is_array()) return file.Error("added_tokens", "must be a list");
  std::map<uint32_t, AddedToken> tokens;
  std::map<std::string, uint32_t> ids;
  auto next = static_cast<uint32_t>(vocabulary.size());
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string place = absl::StrCat(file.PlaceOf("added_tokens"), "[", i, "]");
    ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Of((*list)[i], place));
    ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(object));
    if (token.content.empty()) continue;
    const auto known = ids.find(token.content);
    const auto in_vocabulary = vocabulary.Find(token.content);
    token.id = known != ids.end() ? known->second : in_vocabulary.has_value() ? *in_vocabulary : next++;
    ids[token.content] = token.id;
    tokens[token.id] = std::move(token);
  }
  std::vector<AddedToken> result;
  std::set<std::string> searched_for;
  for (auto& [id, token] : tokens) {
    if (token.normalized && normalizer != nullptr) RETURN_IF_ERROR(normalizer->Apply(token.content).status());
    if (token.content.empty())
      return file.Error("added_tokens", absl::StrCat("token ", id, " is empty when normalized"));
    if (token.normalized && !searched_for.insert(token.content).second) {
      return file.Error("added_tokens", absl::StrCat("token ", id, " is another one's equal when normalized"));
    }
    result.push_back(std::move(token));
  }
  return result;
}

// BERT's normalizer and pre-tokenizer together, for which there is a faster path.
std::optional<BertOptions> AsBert(const JsonObject& file) {
  const auto normalizer = file.Object("normalizer"), pre_tokenizer = file.Object("pre_tokenizer");
  if (!normalizer.ok() || !pre_tokenizer.ok() || normalizer->String("type", "").value_or("") != "BertNormalizer" ||
      pre_tokenizer->String("type", "").value_or("") != "BertPreTokenizer") {
    return std::nullopt;
  }
  const auto options = ReadBertOptions(*normalizer);
  return options.ok() ? std::optional(*options) : std::nullopt;
}

absl::StatusOr<Pipeline::Parts> ReadParts(const JsonObject& file) {
  Pipeline::Parts parts;
  if (file.Find("normalizer") != nullptr) {
    ASSIGN_OR_RETURN(const JsonObject object, file.Object("normalizer"));
    ASSIGN_OR_RETURN(parts.normalizer, ReadNormalizer(object));
  }
  if (file.Find("pre_tokenizer") != nullptr) {
    ASSIGN_OR_RETURN(const JsonObject object, file.Object("pre_tokenizer"));
    ASSIGN_OR_RETURN(parts.pre_tokenizer, ReadPreTokenizer(object));
  }
  ASSIGN_OR_RETURN(const JsonObject model, file.Object("model"));
  ASSIGN_OR_RETURN(parts.model, ReadModel(model, parts.pre_tokenizer.byte_level));
  ASSIGN_OR_RETURN(parts.added, ReadAddedTokens(file, parts.model->vocabulary(), parts.normalizer.get()));
  parts.bert = AsBert(file);
  return parts;
}

uint32_t VocabularySize(const Pipeline::Parts& parts) {
  uint32_t size = 0;
  for (const auto& [token, id] : parts.model->vocabulary().map()) size = std::max(size, id + 1);
  for (const AddedToken& token : parts.added) size = std::max(size, token.id + 1);
  return size;
}

// The parts that decide ids: not truncation, which the caller applies, nor padding, nor the decoder.
std::string DigestOf(const json& file) {
  json deciding = json::object();
  for (const char* key : {"added_tokens", "normalizer", "pre_tokenizer", "post_processor", "model"}) {
    if (file.contains(key)) deciding[key] = file[key];
  }
  return Sha256Hex(absl::StrCat("tokenizer.json\n", deciding.dump()));
}

absl::StatusOr<bool> TruncatesLeftInFile(const JsonObject& file) {
  if (file.Find("truncation") == nullptr) return false;
  ASSIGN_OR_RETURN(const JsonObject truncation, file.Object("truncation"));
  // The job sets the length of texts; strategy and stride concern pairs and the part that is cut off.
  RETURN_IF_ERROR(truncation.RefuseOthers({"direction", "max_length", "strategy", "stride"}));
  ASSIGN_OR_RETURN(const std::string direction, truncation.String("direction", "Right"));
  if (direction != "Left" && direction != "Right") return truncation.Error("direction", "must be Left or Right");
  return direction == "Left";
}

uint32_t PadOf(const JsonObject& file, const Pipeline::Parts& parts) {
  if (const json* padding = file.Find("padding"); padding != nullptr && padding->is_object()) {
    if (const auto id = padding->find("pad_id"); id != padding->end() && id->is_number_unsigned()) {
      return id->get<uint32_t>();
    }
  }
  for (const char* name : {"[PAD]", "<pad>"}) {
    if (const auto id = parts.model->vocabulary().Find(name); id.has_value()) return *id;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfJson(const json& json_file, std::string_view name) {
  ASSIGN_OR_RETURN(const JsonObject file, JsonObject::Of(json_file, std::string(name)));
  RETURN_IF_ERROR(file.RefuseOthers({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                                     "post_processor", "decoder", "model"}));
  ASSIGN_OR_RETURN(const std::string version, file.String("version", "1.0"));
  if (version != "1.0") return file.Error("version", absl::StrCat("\"", version, "\" is not supported"));
  ASSIGN_OR_RETURN(Pipeline::Parts parts, ReadParts(file));
  Tokenizer::Facts facts;
  ASSIGN_OR_RETURN(facts.truncates_left, TruncatesLeftInFile(file));
  if (file.Find("post_processor") != nullptr) {
    ASSIGN_OR_RETURN(const JsonObject object, file.Object("post_processor"));
    RETURN_IF_ERROR(AddPostProcessor(object, facts.prefix, facts.suffix));
  }
  facts.vocabulary_size = VocabularySize(parts);
  for (const auto* ids : {&facts.prefix, &facts.suffix}) {
    for (const uint32_t id : *ids) {
      if (id >= facts.vocabulary_size) return file.Error("post_processor", absl::StrCat("id ", id, " has no token"));
    }
  }
  facts.pad = PadOf(file, parts);
  facts.digest = DigestOf(json_file);
  for (const AddedToken& token : parts.added) {
    if (token.special) facts.special.push_back(token.id);
  }
  return std::make_shared<Pipeline>(std::move(parts), std::move(facts));
}

}  // namespace muster
