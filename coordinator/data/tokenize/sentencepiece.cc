#include "coordinator/data/tokenize/sentencepiece.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/pipeline.h"
#include "coordinator/data/tokenize/precompiled.h"
#include "coordinator/data/tokenize/unigram.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

// A field of a protocol buffer message, on the wire.
struct Field {
  uint32_t number = 0;
  uint64_t varint = 0;      // wire types 0 and 5
  std::string_view bytes;  // wire type 2
};

// Reads the next field. Returns nothing at the end; sets `broken` if the bytes are not a message.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}
  std::optional<Field> Next() {
    if (rest_.empty() || broken_) return std::nullopt;
    Field field;
    const uint64_t key = Varint();
    field.number = static_cast<uint32_t>(key >> 3);
    switch (key & 7) {
      case 0: field.varint = Varint(); break;
      case 1: Take(8); break;
      case 2: field.bytes = Take(Varint()); break;
      case 5: {
        const std::string_view four = Take(4);
        uint32_t value = 0;
        if (four.size() == 4) std::memcpy(&value, four.data(), 4);
        field.varint = value;
        break;
      }
      default: broken_ = true;
    }
    return broken_ ? std::nullopt : std::optional(field);
  }
  bool broken() const { return broken_; }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }
  std::string_view Take(uint64_t size) {
    if (size > rest_.size()) {
      broken_ = true;
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  bool broken_ = false;
};

enum PieceType : uint64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6 };

struct ModelFile {
  struct Piece {
    std::string text;
    float score = 0;
    uint64_t type = kNormal;
  };
  std::vector<Piece> pieces;
  uint64_t model_type = 1;  // Unigram
  std::string charsmap;
};

absl::Status Broken() { return absl::InvalidArgumentError("sentencepiece.bpe.model: is not a SentencePiece model"); }

absl::StatusOr<ModelFile::Piece> ReadPiece(std::string_view bytes) {
  ModelFile::Piece piece;
  WireReader reader(bytes);
  while (const auto field = reader.Next()) {
    if (field->number == 1) piece.text = field->bytes;
    if (field->number == 2) {
      const auto bits = static_cast<uint32_t>(field->varint);
      std::memcpy(&piece.score, &bits, sizeof bits);
    }
    if (field->number == 3) piece.type = field->varint;
  }
  if (reader.broken() || !IsUtf8(piece.text)) return Broken();
  return piece;
}

absl::StatusOr<ModelFile> ReadModelFile(std::string_view bytes) {
  ModelFile file;
  WireReader reader(bytes);
  while (const auto field = reader.Next()) {
    WireReader inner(field->bytes);
    switch (field->number) {
      case 1: {
        ASSIGN_OR_RETURN(file.pieces.emplace_back(), ReadPiece(field->bytes));
        break;
      }
      case 2:  // trainer_spec
        while (const auto spec = inner.Next()) {
          if (spec->number == 3) file.model_type = spec->varint;
        }
        break;
      case 3:  // normalizer_spec
        while (const auto spec = inner.Next()) {
          if (spec->number == 2) file.charsmap = spec->bytes;
        }
        break;
      default: break;
    }
    if (inner.broken() && (field->number == 2 || field->number == 3)) return Broken();
  }
  if (reader.broken() || file.pieces.size() < 3) return Broken();
  if (file.model_type != 1) {
    return absl::InvalidArgumentError(
        "sentencepiece.bpe.model: trainer_spec.model_type is not Unigram. Save the tokenizer with transformers 5, "
        "which "
        "writes tokenizer.json.");
  }
  return file;
}

constexpr char kPreTokenizer[] = R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
  {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}]})";

absl::StatusOr<Pipeline::Parts> MakeParts(const ModelFile& file) {
  Pipeline::Parts parts;
  Unigram::Scores scores = {{"<s>", 0}, {"<pad>", 0}, {"</s>", 0}, {"<unk>", 0}};
  for (size_t i = 3; i < file.pieces.size(); ++i) scores.emplace_back(file.pieces[i].text, file.pieces[i].score);
  scores.emplace_back("<mask>", 0);
  constexpr uint32_t kUnk = 3;
  ASSIGN_OR_RETURN(parts.model, Unigram::Create(scores, kUnk, /*byte_fallback=*/false));
  if (!file.charsmap.empty()) {
    auto map = Precompiled::Create(file.charsmap);
    if (!map.ok()) return absl::InvalidArgumentError(absl::StrCat("sentencepiece.bpe.model: ", map.status().message()));
    parts.normalizer = std::move(*map);
  }
  const nlohmann::json json = nlohmann::json::parse(kPreTokenizer);
  ASSIGN_OR_RETURN(const JsonObject pre_tokenizer, JsonObject::Of(json, "pre_tokenizer"));
  ASSIGN_OR_RETURN(parts.pre_tokenizer, ReadPreTokenizer(pre_tokenizer));
  std::vector<std::pair<std::string, bool>> added = {
      {"<s>", true}, {"<pad>", true}, {"</s>", true}, {"<unk>", true}, {"<mask>", true}};
  for (const ModelFile::Piece& piece : file.pieces) {
    if (piece.type == kControl || piece.type == kUserDefined) added.emplace_back(piece.text, piece.type == kControl);
  }
  for (const auto& [text, special] : added) {
    const auto id = parts.model->vocabulary().Find(text);
    const bool known = std::ranges::any_of(parts.added, [&](const AddedToken& t) { return t.content == text; });
    if (id.has_value() && !known && !text.empty()) {
      parts.added.push_back({.id = *id, .content = text, .special = special});
    }
  }
  return parts;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfSentencePiece(std::string_view model, bool truncates_left) {
  ASSIGN_OR_RETURN(const ModelFile file, ReadModelFile(model));
  ASSIGN_OR_RETURN(Pipeline::Parts parts, MakeParts(file));
  Tokenizer::Facts facts;
  facts.prefix = {*parts.model->vocabulary().Find("<s>")};
  facts.suffix = {*parts.model->vocabulary().Find("</s>")};
  facts.pad = *parts.model->vocabulary().Find("<pad>");
  facts.truncates_left = truncates_left;
  facts.vocabulary_size = static_cast<uint32_t>(file.pieces.size()) + 2;
  facts.digest = Sha256Hex(absl::StrCat("sentencepiece\n", ToAbsl(model)));
  for (const AddedToken& token : parts.added) {
    if (token.special) facts.special.push_back(token.id);
  }
  std::ranges::sort(facts.special);
  return std::make_shared<Pipeline>(std::move(parts), std::move(facts));
}

}  // namespace muster
