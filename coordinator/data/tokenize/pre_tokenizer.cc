#include "coordinator/data/tokenize/pre_tokenizer.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/byte_level.h"
#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/pattern.h"
#include "coordinator/data/tokenize/split_behavior.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

// Replaces each piece by the pieces that `split` passes to its argument, in order.
template <typename Split>
absl::Status Resplit(Pieces& pieces, Split split) {
  std::vector<Piece>& result = pieces.spare();
  result.clear();
  for (const Piece& piece : pieces.list()) {
    RETURN_IF_ERROR(split(piece, [&](size_t begin, size_t end) {
      if (end > begin) result.push_back({piece.text.substr(begin, end - begin), piece.first && begin == 0});
    }));
  }
  pieces.list().swap(result);
  return absl::OkStatus();
}

// Splits at single characters.
class CharacterSplit : public PreTokenizerStep {
 public:
  CharacterSplit(bool (*delimiter)(UChar32), SplitBehavior behavior) : delimiter_(delimiter), behavior_(behavior) {}
  absl::Status Apply(Pieces& pieces) const override {
    std::vector<Part> parts;
    return Resplit(pieces, [&](const Piece& piece, auto&& emit) -> absl::Status {
      parts.clear();
      size_t done = 0;
      for (size_t i = 0; i < piece.text.size();) {
        const size_t begin = i;
        if (!delimiter_(NextCodePoint(piece.text, i))) continue;
        if (done < begin) parts.push_back({done, begin, false});
        parts.push_back({begin, i, true});
        done = i;
      }
      if (done < piece.text.size()) parts.push_back({done, piece.text.size(), false});
      ApplyBehavior(behavior_, parts);
      for (const Part& part : parts) emit(part.begin, part.end);
      return absl::OkStatus();
    });
  }

 private:
  bool (*const delimiter_)(UChar32);
  const SplitBehavior behavior_;
};

class PatternSplit : public PreTokenizerStep {
 public:
  PatternSplit(std::unique_ptr<const Pattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  absl::Status Apply(Pieces& pieces) const override {
    std::vector<Part> parts;
    return Resplit(pieces, [&](const Piece& piece, auto&& emit) -> absl::Status {
      parts.clear();
      size_t done = 0;
      RETURN_IF_ERROR(pattern_->ForEachMatch(piece.text, [&](size_t begin, size_t end) {
        if (done < begin) parts.push_back({done, begin, invert_});
        parts.push_back({begin, end, !invert_});
        done = end;
      }));
      if (done < piece.text.size()) parts.push_back({done, piece.text.size(), invert_});
      ApplyBehavior(behavior_, parts);
      for (const Part& part : parts) emit(part.begin, part.end);
      return absl::OkStatus();
    });
  }

 private:
  const std::unique_ptr<const Pattern> pattern_;
  const SplitBehavior behavior_;
  const bool invert_;
};

// The pattern \w+|[^\w\s]+
class Whitespace : public PreTokenizerStep {
 public:
  absl::Status Apply(Pieces& pieces) const override {
    return Resplit(pieces, [](const Piece& piece, auto&& emit) -> absl::Status {
      size_t begin = 0;
      std::optional<int> kind;  // of the run that began at `begin`: kWord, kSpace or 0
      for (size_t i = 0; i < piece.text.size();) {
        const size_t here = i;
        const uint8_t classes = RegexClassesOf(NextCodePoint(piece.text, i));
        const int of_character = (classes & kWord) != 0 ? kWord : classes & kSpace;
        if (kind.has_value() && *kind == of_character) continue;
        if (kind.has_value() && *kind != kSpace) emit(begin, here);
        kind = of_character;
        begin = here;
      }
      if (kind.has_value() && *kind != kSpace) emit(begin, piece.text.size());
      return absl::OkStatus();
    });
  }
};

// Puts a space before each piece that has none.
class PrefixSpace : public PreTokenizerStep {
 public:
  absl::Status Apply(Pieces& pieces) const override {
    std::string text;
    for (Piece& piece : pieces.list()) {
      if (piece.text.starts_with(' ')) continue;
      text = ' ';
      text += piece.text;
      piece.text = pieces.Keep(text);
    }
    return absl::OkStatus();
  }
};

class EagerByteLevel : public PreTokenizerStep {
 public:
  absl::Status Apply(Pieces& pieces) const override {
    for (Piece& piece : pieces.list()) piece.text = pieces.Keep(ToByteCharacters(piece.text));
    return absl::OkStatus();
  }
};

class Metaspace : public PreTokenizerStep {
 public:
  enum class Prepend { kAlways, kFirst, kNever };
  Metaspace(std::string replacement, Prepend prepend) : replacement_(std::move(replacement)), prepend_(prepend) {}
  absl::Status Apply(Pieces& pieces) const override {
    std::string text;
    for (Piece& piece : pieces.list()) {
      text.clear();
      const bool has_it = piece.text.starts_with(' ') || piece.text.starts_with(replacement_);
      if (!has_it && (prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && piece.first))) {
        text = replacement_;
      }
      for (const char c : piece.text) {
        if (c == ' ') {
          text += replacement_;
        } else {
          text.push_back(c);
        }
      }
      piece.text = pieces.Keep(text);
    }
    return absl::OkStatus();
  }

 private:
  const std::string replacement_;
  const Prepend prepend_;
};

absl::Status Read(const JsonObject& json, PreTokenizer& result);

absl::Status ReadSequence(const JsonObject& json, PreTokenizer& result) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "pretokenizers"}));
  const nlohmann::json* list = json.Find("pretokenizers");
  if (list == nullptr || !list->is_array()) return json.Error("pretokenizers", "must be a list");
  for (size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonObject item,
                     JsonObject::Of((*list)[i], absl::StrCat(json.PlaceOf("pretokenizers"), "[", i, "]")));
    RETURN_IF_ERROR(Read(item, result));
  }
  return absl::OkStatus();
}

absl::Status ReadByteLevel(const JsonObject& json, PreTokenizer& result) {
  // trim_offsets only affects offsets, which are not used.
  RETURN_IF_ERROR(json.RefuseOthers({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  ASSIGN_OR_RETURN(const bool prefix_space, json.Bool("add_prefix_space", true));
  ASSIGN_OR_RETURN(const bool use_regex, json.Bool("use_regex", true));
  if (prefix_space) result.steps.push_back(std::make_unique<PrefixSpace>());
  if (use_regex) {
    ASSIGN_OR_RETURN(auto pattern, RegexPattern(kGpt2Pattern));
    result.steps.push_back(
        std::make_unique<PatternSplit>(std::move(pattern), SplitBehavior::kIsolated, /*invert=*/false));
  }
  result.byte_level = true;
  return absl::OkStatus();
}

absl::Status ReadMetaspace(const JsonObject& json, PreTokenizer& result) {
  RETURN_IF_ERROR(
      json.RefuseOthers({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}));
  ASSIGN_OR_RETURN(const std::string replacement, json.String("replacement"));
  if (CountCodePoints(replacement) != 1) return json.Error("replacement", "must be one character");
  ASSIGN_OR_RETURN(const std::string scheme, json.String("prepend_scheme", "always"));
  ASSIGN_OR_RETURN(const bool add_prefix_space, json.Bool("add_prefix_space", true));
  ASSIGN_OR_RETURN(const bool split, json.Bool("split", true));
  Metaspace::Prepend prepend;
  if (scheme == "always") {
    prepend = Metaspace::Prepend::kAlways;
  } else if (scheme == "first") {
    prepend = Metaspace::Prepend::kFirst;
  } else if (scheme == "never") {
    prepend = Metaspace::Prepend::kNever;
  } else {
    return json.Error("prepend_scheme", absl::StrCat("\"", scheme, "\" is not supported"));
  }
  if (!add_prefix_space && prepend != Metaspace::Prepend::kNever) {
    return json.Error("add_prefix_space", "false contradicts prepend_scheme");
  }
  result.steps.push_back(std::make_unique<Metaspace>(replacement, prepend));
  if (split) {
    result.steps.push_back(std::make_unique<PatternSplit>(LiteralPattern(replacement), SplitBehavior::kMergedWithNext,
                                                          /*invert=*/false));
  }
  return absl::OkStatus();
}

absl::Status ReadSplit(const JsonObject& json, PreTokenizer& result) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "pattern", "behavior", "invert"}));
  ASSIGN_OR_RETURN(auto pattern, ReadPattern(json));
  ASSIGN_OR_RETURN(const std::string name, json.String("behavior"));
  ASSIGN_OR_RETURN(const bool invert, json.Bool("invert", false));
  const auto behavior = SplitBehaviorOf(name);
  if (!behavior.ok()) return json.Error("behavior", ToStd(behavior.status().message()));
  result.steps.push_back(std::make_unique<PatternSplit>(std::move(pattern), *behavior, invert));
  return absl::OkStatus();
}

absl::Status ReadPunctuation(const JsonObject& json, PreTokenizer& result) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "behavior"}));
  ASSIGN_OR_RETURN(const std::string name, json.String("behavior", "Isolated"));
  const auto behavior = SplitBehaviorOf(name);
  if (!behavior.ok()) return json.Error("behavior", ToStd(behavior.status().message()));
  result.steps.push_back(std::make_unique<CharacterSplit>(IsBertPunctuation, *behavior));
  return absl::OkStatus();
}

absl::Status ReadDigits(const JsonObject& json, PreTokenizer& result) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "individual_digits"}));
  ASSIGN_OR_RETURN(const bool individual, json.Bool("individual_digits", false));
  result.steps.push_back(std::make_unique<CharacterSplit>(
      IsNumeric, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
  return absl::OkStatus();
}

absl::Status Read(const JsonObject& json, PreTokenizer& result) {
  if (result.byte_level) {  // another step follows, which must see the byte-level characters
    result.steps.push_back(std::make_unique<EagerByteLevel>());
    result.byte_level = false;
  }
  ASSIGN_OR_RETURN(const std::string type, json.String("type"));
  if (type == "Sequence") return ReadSequence(json, result);
  if (type == "ByteLevel") return ReadByteLevel(json, result);
  if (type == "Metaspace") return ReadMetaspace(json, result);
  if (type == "Split") return ReadSplit(json, result);
  if (type == "Punctuation") return ReadPunctuation(json, result);
  if (type == "Digits") return ReadDigits(json, result);
  const auto at_space = [] { return std::make_unique<CharacterSplit>(IsWhiteSpace, SplitBehavior::kRemoved); };
  if (type == "BertPreTokenizer") {
    result.steps.push_back(at_space());
    result.steps.push_back(std::make_unique<CharacterSplit>(IsBertPunctuation, SplitBehavior::kIsolated));
  } else if (type == "WhitespaceSplit") {
    result.steps.push_back(at_space());
  } else if (type == "Whitespace") {
    result.steps.push_back(std::make_unique<Whitespace>());
  } else {
    return json.Error("type", absl::StrCat("\"", type, "\" is not supported"));
  }
  return json.RefuseOthers({"type"});
}

}  // namespace

absl::StatusOr<PreTokenizer> ReadPreTokenizer(const JsonObject& json) {
  PreTokenizer result;
  RETURN_IF_ERROR(Read(json, result));
  return result;
}

}  // namespace muster
