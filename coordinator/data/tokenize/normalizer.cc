#include "coordinator/data/tokenize/normalizer.h"

#include <array>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/bert_words.h"
#include "coordinator/data/tokenize/byte_level.h"
#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/normal_forms.h"
#include "coordinator/data/tokenize/pattern.h"
#include "coordinator/data/tokenize/precompiled.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

using NormalizerPtr = std::unique_ptr<const Normalizer>;

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<NormalizerPtr> steps) : steps_(std::move(steps)) {}
  absl::StatusOr<bool> Apply(std::string& text) const override {
    bool begins_there = true;
    for (const NormalizerPtr& step : steps_) {
      ASSIGN_OR_RETURN(const bool step_begins_there, step->Apply(text));
      begins_there &= step_begins_there;
    }
    return begins_there;
  }

 private:
  const std::vector<NormalizerPtr> steps_;
};

// A step that never drops the first characters.
class Rewrite : public Normalizer {
 public:
  explicit Rewrite(std::function<void(std::string&)> rewrite) : rewrite_(std::move(rewrite)) {}
  absl::StatusOr<bool> Apply(std::string& text) const override {
    rewrite_(text);
    return true;
  }

 private:
  const std::function<void(std::string&)> rewrite_;
};

NormalizerPtr Rewriting(std::function<void(std::string&)> rewrite) {
  return std::make_unique<Rewrite>(std::move(rewrite));
}

// Maps each character to itself, to another one, or to kDropped. Most characters are ASCII and stay.
class CharacterMap : public Normalizer {
 public:
  static constexpr UChar32 kDropped = -1;
  explicit CharacterMap(UChar32 (*map)(UChar32)) : map_(map) {
    for (UChar32 c = 0; c < 0x80; ++c) stays_[c] = map(c) == c;
  }
  absl::StatusOr<bool> Apply(std::string& text) const override {
    std::string result;
    size_t copied = 0;  // the text before it is in the result
    bool begins_there = true;
    for (size_t i = 0; i < text.size();) {
      const size_t begin = i;
      const auto byte = static_cast<unsigned char>(text[i]);
      if (byte < 0x80 && stays_[byte]) {
        ++i;
        continue;
      }
      const UChar32 c = NextCodePoint(text, i);
      const UChar32 mapped = map_(c);
      if (mapped == c) continue;
      result.append(text, copied, begin - copied);
      copied = i;
      if (mapped != kDropped) {
        AppendUtf8(mapped, result);
      } else if (begin == 0) {
        begins_there = false;
      }
    }
    if (copied == 0) return true;
    result.append(text, copied);
    text = std::move(result);
    return begins_there;
  }

 private:
  UChar32 (*const map_)(UChar32);
  std::array<bool, 128> stays_ = {};
};

// Rules of the Neural Machine Translation toolkit.
UChar32 NmtCharacter(UChar32 c) {
  if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) {
    return CharacterMap::kDropped;
  }
  switch (c) {
    case 0x9:
    case 0xA:
    case 0xC:
    case 0xD:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x2581:
    case 0xFEFF:
    case 0xFFFD:
      return ' ';
    default:
      return c >= 0x200B && c <= 0x200F ? ' ' : c;
  }
}

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  absl::StatusOr<bool> Apply(std::string& text) const override {
    size_t begin = 0, end = text.size();
    for (size_t i = 0; left_ && i < text.size() && IsWhiteSpace(NextCodePoint(text, i)); begin = i) {
    }
    for (size_t i = end; right_ && i > begin && IsWhiteSpace(PreviousCodePoint(text, i)); end = i) {
    }
    text = text.substr(begin, end - begin);
    return begin == 0;
  }

 private:
  const bool left_, right_;
};

class Bert : public Normalizer {
 public:
  explicit Bert(BertOptions options) : options_(options) {}
  absl::StatusOr<bool> Apply(std::string& text) const override {
    size_t i = 0;
    const bool drops_first =
        !text.empty() && options_.clean && Classify(NextCodePoint(text, i)) == CharacterClass::kDropped;
    text = NormalizeForBert(text, options_);
    return !drops_first;
  }

 private:
  const BertOptions options_;
};

class Replace : public Normalizer {
 public:
  Replace(std::unique_ptr<const Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  absl::StatusOr<bool> Apply(std::string& text) const override {
    std::string result;
    size_t done = 0;
    RETURN_IF_ERROR(pattern_->ForEachMatch(text, [&](size_t begin, size_t end) {
      result.append(text, done, begin - done);
      result += content_;
      done = end;
    }));
    if (done == 0) return true;
    result.append(text, done);
    text = std::move(result);
    return true;
  }

 private:
  const std::unique_ptr<const Pattern> pattern_;
  const std::string content_;
};

absl::StatusOr<NormalizerPtr> ReadBert(const JsonObject& json) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}));
  ASSIGN_OR_RETURN(const BertOptions options, ReadBertOptions(json));
  return std::make_unique<Bert>(options);
}

absl::StatusOr<NormalizerPtr> ReadReplace(const JsonObject& json) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "pattern", "content"}));
  ASSIGN_OR_RETURN(std::unique_ptr<const Pattern> pattern, ReadPattern(json));
  ASSIGN_OR_RETURN(std::string content, json.String("content"));
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

absl::StatusOr<NormalizerPtr> ReadPrepend(const JsonObject& json) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "prepend"}));
  ASSIGN_OR_RETURN(const std::string prepend, json.String("prepend"));
  return Rewriting([prepend](std::string& text) {
    if (!text.empty()) text.insert(0, prepend);
  });
}

absl::StatusOr<NormalizerPtr> ReadPrecompiled(const JsonObject& json) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "precompiled_charsmap"}));
  if (json.Find("precompiled_charsmap") == nullptr) return Rewriting([](std::string&) {});
  ASSIGN_OR_RETURN(const std::string base64, json.String("precompiled_charsmap"));
  std::string charsmap;
  if (!absl::Base64Unescape(base64, &charsmap)) return json.Error("precompiled_charsmap", "must be base64");
  auto map = Precompiled::Create(charsmap);
  if (!map.ok()) return json.Error("precompiled_charsmap", ToStd(map.status().message()));
  return std::move(*map);
}

absl::StatusOr<NormalizerPtr> ReadStrip(const JsonObject& json) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "strip_left", "strip_right"}));
  ASSIGN_OR_RETURN(const bool left, json.Bool("strip_left", true));
  ASSIGN_OR_RETURN(const bool right, json.Bool("strip_right", true));
  return std::make_unique<Strip>(left, right);
}

absl::StatusOr<NormalizerPtr> ReadSequence(const JsonObject& json) {
  RETURN_IF_ERROR(json.RefuseOthers({"type", "normalizers"}));
  const nlohmann::json* list = json.Find("normalizers");
  if (list == nullptr || !list->is_array()) return json.Error("normalizers", "must be a list");
  std::vector<NormalizerPtr> steps;
  for (size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonObject item,
                     JsonObject::Of((*list)[i], absl::StrCat(json.PlaceOf("normalizers"), "[", i, "]")));
    ASSIGN_OR_RETURN(steps.emplace_back(), ReadNormalizer(item));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

NormalizerPtr WithoutOptions(std::string_view type) {
  const auto form = [](NormalForm f) { return Rewriting([f](std::string& text) { Normalize(f, text); }); };
  if (type == "NFC") return form(NormalForm::kNfc);
  if (type == "NFD") return form(NormalForm::kNfd);
  if (type == "NFKC") return form(NormalForm::kNfkc);
  if (type == "NFKD") return form(NormalForm::kNfkd);
  if (type == "Lowercase") {
    return Rewriting([](std::string& text) {
      std::string lower;
      lower.reserve(text.size());
      for (size_t i = 0; i < text.size();) {
        if (IsAscii(text[i])) {
          lower.push_back(absl::ascii_tolower(static_cast<unsigned char>(text[i++])));
        } else {
          AppendLowerCase(NextCodePoint(text, i), lower);
        }
      }
      text = std::move(lower);
    });
  }
  if (type == "StripAccents") {
    return std::make_unique<CharacterMap>(
        [](UChar32 c) { return IsCombiningMark(c) ? CharacterMap::kDropped : c; });
  }
  if (type == "Nmt") return std::make_unique<CharacterMap>(NmtCharacter);
  if (type == "ByteLevel") return Rewriting([](std::string& text) { text = ToByteCharacters(text); });
  return nullptr;
}

}  // namespace

absl::StatusOr<BertOptions> ReadBertOptions(const JsonObject& json) {
  BertOptions options;
  ASSIGN_OR_RETURN(options.clean, json.Bool("clean_text", true));
  ASSIGN_OR_RETURN(options.split_ideographs, json.Bool("handle_chinese_chars", true));
  ASSIGN_OR_RETURN(options.lower_case, json.Bool("lowercase", true));
  ASSIGN_OR_RETURN(options.strip_accents, json.Bool("strip_accents", options.lower_case));
  return options;
}

absl::StatusOr<NormalizerPtr> ReadNormalizer(const JsonObject& json) {
  ASSIGN_OR_RETURN(const std::string type, json.String("type"));
  if (type == "BertNormalizer") return ReadBert(json);
  if (type == "Replace") return ReadReplace(json);
  if (type == "Prepend") return ReadPrepend(json);
  if (type == "Precompiled") return ReadPrecompiled(json);
  if (type == "Strip") return ReadStrip(json);
  if (type == "Sequence") return ReadSequence(json);
  if (NormalizerPtr normalizer = WithoutOptions(type); normalizer != nullptr) {
    RETURN_IF_ERROR(json.RefuseOthers({"type"}));
    return normalizer;
  }
  return json.Error("type", absl::StrCat("\"", type, "\" is not supported"));
}

}  // namespace muster
