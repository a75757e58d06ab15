#include "coordinator/data/tokenize/model_json.h"

#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/bpe.h"
#include "coordinator/data/tokenize/byte_level_words.h"
#include "coordinator/data/tokenize/unigram.h"
#include "coordinator/data/tokenize/wordpiece.h"

namespace muster {
namespace {

using nlohmann::json;

}  // namespace

double ScoreAsRead(double nearest) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof text, std::abs(nearest), std::chars_format::scientific);
  if (error != std::errc()) return nearest;
  uint64_t digits = 0;
  int exponent = 0;
  const char* c = text;
  bool fraction = false;
  for (; c != end && *c != 'e'; ++c) {
    if (*c == '.') {
      fraction = true;
      continue;
    }
    digits = digits * 10 + static_cast<uint64_t>(*c - '0');
    exponent -= fraction ? 1 : 0;
  }
  if (c != end) {
    int written = 0;
    std::from_chars(c + (c[1] == '+' ? 2 : 1), end, written);
    exponent += written;
  }
  auto value = static_cast<double>(digits);
  if (std::abs(exponent) > 308) return nearest;
  // Literal powers of ten are rounded to the nearest double.
  double power;
  const std::string literal = absl::StrCat("1e", std::abs(exponent));
  std::from_chars(literal.data(), literal.data() + literal.size(), power);
  value = exponent >= 0 ? value * power : value / power;
  return std::signbit(nearest) ? -value : value;
}

namespace {

absl::StatusOr<Vocabulary> ReadVocabulary(const JsonObject& model) {
  ASSIGN_OR_RETURN(const JsonObject object, model.Object("vocab"));
  Vocabulary vocabulary;
  for (const auto& [token, id] : object.json().items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= UINT32_MAX) {
      return object.Error(token, "must be a whole number below 2^32 - 1");
    }
    vocabulary.Add(token, id.get<uint32_t>());
  }
  return vocabulary;
}

absl::StatusOr<std::unique_ptr<const TokenModel>> ReadWordPiece(const JsonObject& model) {
  RETURN_IF_ERROR(model.RefuseOthers(
      {"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"}));
  WordPiece::Options options;
  ASSIGN_OR_RETURN(options.unk_token, model.String("unk_token"));
  ASSIGN_OR_RETURN(options.continuing_prefix, model.String("continuing_subword_prefix"));
  ASSIGN_OR_RETURN(options.max_characters, model.Unsigned("max_input_chars_per_word"));
  ASSIGN_OR_RETURN(Vocabulary vocabulary, ReadVocabulary(model));
  auto word_piece = WordPiece::Create(std::move(vocabulary), std::move(options));
  if (!word_piece.ok()) return model.Error("unk_token", ToStd(word_piece.status().message()));
  return std::move(*word_piece);
}

absl::StatusOr<std::pair<std::string, std::string>> ReadMerge(const JsonObject& model, const json& merge, size_t i) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return model.Error(absl::StrCat("merges[", i, "]"), "must be two tokens");
}

absl::StatusOr<Bpe::Merges> ReadMerges(const JsonObject& model) {
  const json* list = model.Find("merges");
  if (list == nullptr || !list->is_array()) return model.Error("merges", "must be a list");
  Bpe::Merges merges;
  merges.reserve(list->size());
  for (size_t i = 0; i < list->size(); ++i) {
    const json& merge = (*list)[i];
    if (merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version")) continue;
    ASSIGN_OR_RETURN(merges.emplace_back(), ReadMerge(model, merge, i));
  }
  return merges;
}

absl::StatusOr<std::unique_ptr<const TokenModel>> ReadBpe(const JsonObject& model, bool byte_level) {
  RETURN_IF_ERROR(model.RefuseOthers({"type", "dropout", "unk_token", "continuing_subword_prefix",
                                      "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                                      "merges"}));
  if (const json* dropout = model.Find("dropout"); dropout != nullptr && *dropout != 0.0) {
    return model.Error("dropout", "is not supported: ids would be random. Set it to null.");
  }
  Bpe::Options options;
  options.byte_level = byte_level;
  if (model.Find("unk_token") != nullptr) {
    ASSIGN_OR_RETURN(options.unk_token, model.String("unk_token"));
  }
  ASSIGN_OR_RETURN(options.continuing_prefix, model.String("continuing_subword_prefix", ""));
  ASSIGN_OR_RETURN(options.end_of_word_suffix, model.String("end_of_word_suffix", ""));
  ASSIGN_OR_RETURN(options.fuse_unk, model.Bool("fuse_unk", false));
  ASSIGN_OR_RETURN(options.byte_fallback, model.Bool("byte_fallback", false));
  ASSIGN_OR_RETURN(options.ignore_merges, model.Bool("ignore_merges", false));
  ASSIGN_OR_RETURN(const Bpe::Merges merges, ReadMerges(model));
  ASSIGN_OR_RETURN(Vocabulary vocabulary, ReadVocabulary(model));
  auto bpe = Bpe::Create(std::move(vocabulary), merges, std::move(options));
  if (!bpe.ok()) return absl::InvalidArgumentError(absl::StrCat(model.place(), ": ", bpe.status().message()));
  return std::move(*bpe);
}

absl::StatusOr<std::unique_ptr<const TokenModel>> ReadUnigram(const JsonObject& model) {
  RETURN_IF_ERROR(model.RefuseOthers({"type", "unk_id", "vocab", "byte_fallback"}));
  ASSIGN_OR_RETURN(const uint64_t unk, model.Unsigned("unk_id"));
  ASSIGN_OR_RETURN(const bool byte_fallback, model.Bool("byte_fallback", false));
  const json* list = model.Find("vocab");
  if (list == nullptr || !list->is_array()) return model.Error("vocab", "must be a list");
  Unigram::Scores scores;
  scores.reserve(list->size());
  for (const json& entry : *list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      return model.Error(absl::StrCat("vocab[", scores.size(), "]"), "must be a token and its score");
    }
    scores.emplace_back(entry[0].get<std::string>(), ScoreAsRead(entry[1].get<double>()));
  }
  auto unigram = Unigram::Create(scores, static_cast<uint32_t>(unk), byte_fallback);
  if (!unigram.ok()) return absl::InvalidArgumentError(absl::StrCat(model.place(), ".", unigram.status().message()));
  return std::move(*unigram);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const TokenModel>> ReadModel(const JsonObject& json, bool byte_level) {
  ASSIGN_OR_RETURN(std::string type, json.String("type", ""));
  if (type.empty()) {  // files from before "type" was written
    type = json.Find("merges") != nullptr ? "BPE" : json.Find("unk_id") != nullptr ? "Unigram" : "WordPiece";
  }
  if (type == "BPE") return ReadBpe(json, byte_level);
  absl::StatusOr<std::unique_ptr<const TokenModel>> model =
      json.Error("type", absl::StrCat("\"", type, "\" is not supported. Use WordPiece, BPE or Unigram."));
  if (type == "WordPiece") model = ReadWordPiece(json);
  if (type == "Unigram") model = ReadUnigram(json);
  if (model.ok() && byte_level) return WithByteCharacters(std::move(*model));
  return model;
}

}  // namespace muster
