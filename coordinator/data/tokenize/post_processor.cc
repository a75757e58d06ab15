#include "coordinator/data/tokenize/post_processor.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

using nlohmann::json;
using Ids = std::vector<uint32_t>;

void AddAround(const Ids& before, const Ids& behind, Ids& prefix, Ids& suffix) {
  prefix.insert(prefix.begin(), before.begin(), before.end());
  suffix.insert(suffix.end(), behind.begin(), behind.end());
}

// A pair of a token and its id, as in "cls" and "sep".
absl::StatusOr<uint32_t> IdOfPair(const JsonObject& object, std::string_view key) {
  const json* pair = object.Find(key);
  if (pair == nullptr || !pair->is_array() || pair->size() != 2 || !(*pair)[1].is_number_unsigned()) {
    return object.Error(key, "must be a token and its id");
  }
  return (*pair)[1].get<uint32_t>();
}

absl::StatusOr<Ids> IdsOfSpecial(const JsonObject& object, const std::string& name) {
  ASSIGN_OR_RETURN(const JsonObject specials, object.Object("special_tokens"));
  ASSIGN_OR_RETURN(const JsonObject special, specials.Object(name));
  RETURN_IF_ERROR(special.RefuseOthers({"id", "ids", "tokens"}));
  const json* list = special.Find("ids");
  if (list == nullptr || !list->is_array()) return special.Error("ids", "must be a list");
  Ids ids;
  for (const json& id : *list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= UINT32_MAX) return special.Error("ids", "must be ids");
    ids.push_back(id.get<uint32_t>());
  }
  return ids;
}

absl::Status AddTemplate(const JsonObject& object, Ids& prefix, Ids& suffix) {
  RETURN_IF_ERROR(object.RefuseOthers({"type", "single", "pair", "special_tokens"}));  // pairs of texts do not occur
  const json* pieces = object.Find("single");
  if (pieces == nullptr || !pieces->is_array()) return object.Error("single", "must be a list");
  Ids before, behind;
  bool seen = false;
  for (size_t i = 0; i < pieces->size(); ++i) {
    const std::string place = absl::StrCat(object.PlaceOf("single"), "[", i, "]");
    ASSIGN_OR_RETURN(const JsonObject piece, JsonObject::Of((*pieces)[i], place));
    RETURN_IF_ERROR(piece.RefuseOthers({"SpecialToken", "Sequence"}));
    if (piece.Find("Sequence") != nullptr) {
      ASSIGN_OR_RETURN(const JsonObject sequence, piece.Object("Sequence"));
      ASSIGN_OR_RETURN(const std::string id, sequence.String("id"));
      ASSIGN_OR_RETURN(const uint64_t type, sequence.Unsigned("type_id", 0));
      if (id != "A" || seen) return piece.Error("Sequence", "the template must hold the sequence A, once");
      // Encoders in Muster only know token type 0.
      if (type != 0) return sequence.Error("type_id", "is not supported, except 0");
      seen = true;
      continue;
    }
    ASSIGN_OR_RETURN(const JsonObject special, piece.Object("SpecialToken"));
    ASSIGN_OR_RETURN(const std::string name, special.String("id"));
    ASSIGN_OR_RETURN(const uint64_t type, special.Unsigned("type_id", 0));
    if (type != 0) return special.Error("type_id", "is not supported, except 0");
    ASSIGN_OR_RETURN(const Ids ids, IdsOfSpecial(object, name));
    Ids& side = seen ? behind : before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (!seen) return object.Error("single", "the template must hold the sequence A, once");
  AddAround(before, behind, prefix, suffix);
  return absl::OkStatus();
}

absl::Status AddSequence(const JsonObject& object, Ids& prefix, Ids& suffix) {
  RETURN_IF_ERROR(object.RefuseOthers({"type", "processors"}));
  const json* list = object.Find("processors");
  if (list == nullptr || !list->is_array()) return object.Error("processors", "must be a list");
  for (size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonObject item,
                     JsonObject::Of((*list)[i], absl::StrCat(object.PlaceOf("processors"), "[", i, "]")));
    RETURN_IF_ERROR(AddPostProcessor(item, prefix, suffix));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AddPostProcessor(const JsonObject& object, Ids& prefix, Ids& suffix) {
  ASSIGN_OR_RETURN(const std::string type, object.String("type"));
  if (type == "TemplateProcessing") return AddTemplate(object, prefix, suffix);
  if (type == "Sequence") return AddSequence(object, prefix, suffix);
  // Here trim_offsets, add_prefix_space and use_regex only affect offsets, which are not used.
  if (type == "ByteLevel") return object.RefuseOthers({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    RETURN_IF_ERROR(object.RefuseOthers({"type", "sep", "cls", "trim_offsets", "add_prefix_space"}));
    ASSIGN_OR_RETURN(const uint32_t cls, IdOfPair(object, "cls"));
    ASSIGN_OR_RETURN(const uint32_t sep, IdOfPair(object, "sep"));
    AddAround({cls}, {sep}, prefix, suffix);
    return absl::OkStatus();
  }
  return object.Error("type", absl::StrCat("\"", type, "\" is not supported"));
}

}  // namespace muster
