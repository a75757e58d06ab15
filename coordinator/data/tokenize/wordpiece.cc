#include "coordinator/data/tokenize/wordpiece.h"

#include <unicode/normalizer2.h>
#include <unicode/unistr.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status.h"
#include "coordinator/data/tokenize/characters.h"

namespace muster {
namespace {

constexpr size_t kMaxWordCharacters = 100;  // longer words are [UNK]

enum class AsciiClass : uint8_t { kLetter, kDropped, kSpace, kPunctuation };

constexpr std::array<AsciiClass, 128> MakeAsciiClasses() {
  std::array<AsciiClass, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      classes[c] = AsciiClass::kSpace;
    } else if (c < 32 || c == 127) {
      classes[c] = AsciiClass::kDropped;
    } else if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126)) {
      classes[c] = AsciiClass::kPunctuation;
    }
  }
  return classes;
}
constexpr std::array<AsciiClass, 128> kAscii = MakeAsciiClasses();

bool IsAscii(unsigned char c) { return c < 0x80; }
bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool IsUtf8(std::string_view text) {
  for (int32_t i = 0, size = static_cast<int32_t>(text.size()); i < size;) {
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0) return false;
  }
  return true;
}

std::string_view WithoutTrailingSpace(std::string_view line) {
  while (!line.empty() && absl::ascii_isspace(line.back())) line.remove_suffix(1);
  return line;
}

void AppendUtf8(UChar32 c, std::string& out) {
  char bytes[U8_MAX_LENGTH];
  int32_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, c);
  out.append(bytes, size);
}

// Decomposes canonically (NFD) with the marks in canonical order.
icu::UnicodeString Decompose(const icu::UnicodeString& text, const icu::Normalizer2& nfd) {
  UErrorCode error = U_ZERO_ERROR;
  icu::UnicodeString result;
  int32_t start = 0;
  for (int32_t i = 0; i < text.length();) {  // around the characters that are not to be decomposed
    const UChar32 c = text.char32At(i);
    const int32_t next = i + U16_LENGTH(c);
    if (IsNeverDecomposed(c)) {
      nfd.normalizeSecondAndAppend(result, text.tempSubStringBetween(start, i), error);
      result.append(c);
      start = next;
    }
    i = next;
  }
  return nfd.normalizeSecondAndAppend(result, text.tempSubStringBetween(start), error);
}

}  // namespace

struct WordPieceTokenizer::Tables {
  std::string vocabulary;  // owns the bytes of the keys below
  absl::flat_hash_map<std::string_view, uint32_t> words;          // whole words and first pieces
  absl::flat_hash_map<std::string_view, uint32_t> continuations;  // without their "##"
  std::vector<std::pair<std::string_view, uint32_t>> specials;    // those that the vocabulary has
  size_t longest = 0;                                             // bytes
  const icu::Normalizer2* nfd = nullptr;                          // lives as long as the process
};

WordPieceTokenizer::WordPieceTokenizer(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
WordPieceTokenizer::~WordPieceTokenizer() = default;

absl::StatusOr<std::shared_ptr<const WordPieceTokenizer>> WordPieceTokenizer::FromVocabulary(
    std::string_view vocab_txt, bool lower_case) {
  if (vocab_txt.size() > INT32_MAX || !IsUtf8(vocab_txt)) {
    return absl::InvalidArgumentError("vocab.txt: not UTF-8 text. Give the vocabulary of a BERT model.");
  }
  auto tables = std::make_unique<Tables>();
  tables->vocabulary = vocab_txt;
  const std::string_view all = tables->vocabulary;
  uint32_t id = 0;
  for (size_t begin = 0; begin < all.size(); ++id) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    const std::string_view entry = WithoutTrailingSpace(all.substr(begin, end - begin));
    begin = end + 1;
    tables->longest = std::max(tables->longest, entry.size());
    tables->words[entry] = id;  // of equal entries the last one counts, as in Hugging Face's reader
    if (entry.size() > 2 && entry.starts_with("##")) tables->continuations[entry.substr(2)] = id;
  }
  for (std::string_view special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    const auto found = tables->words.find(special);
    if (found != tables->words.end()) {
      tables->specials.emplace_back(special, found->second);
    } else if (special != "[MASK]") {
      return absl::InvalidArgumentError(
          absl::StrCat("vocab.txt: no entry ", std::string(special), ". Give the vocabulary of a BERT model."));
    }
  }
  UErrorCode error = U_ZERO_ERROR;
  tables->nfd = icu::Normalizer2::getNFDInstance(error);
  if (U_FAILURE(error)) {
    return absl::InternalError(absl::StrCat("ICU has no normalisation data: ", u_errorName(error)));
  }
  auto tokenizer = std::shared_ptr<WordPieceTokenizer>(new WordPieceTokenizer(std::move(tables)));
  const auto& words = tokenizer->tables_->words;
  tokenizer->lower_case_ = lower_case;
  tokenizer->cls_ = words.at("[CLS]");
  tokenizer->sep_ = words.at("[SEP]");
  tokenizer->unk_ = words.at("[UNK]");
  tokenizer->pad_ = words.at("[PAD]");
  tokenizer->vocabulary_size_ = id;
  tokenizer->digest_ = 
      Sha256Hex(absl::StrCat(lower_case ? "wordpiece uncased\n" : "wordpiece cased\n", std::string(vocab_txt)));
  return tokenizer;
}

void WordPieceTokenizer::Encode(std::string_view utf8, std::vector<uint32_t>& ids) const {
  size_t begin = 0;
  for (size_t at = utf8.find('['); at != std::string_view::npos; at = utf8.find('[', at)) {
    const std::string_view rest = utf8.substr(at);
    const auto special = std::find_if(tables_->specials.begin(), tables_->specials.end(),
                                      [&](const auto& entry) { return rest.starts_with(entry.first); });
    if (special == tables_->specials.end()) {
      ++at;
      continue;
    }
    EncodeSegment(utf8.substr(begin, at - begin), ids);
    ids.push_back(special->second);
    at += special->first.size();
    begin = at;
  }
  EncodeSegment(utf8.substr(begin), ids);
}

// Cuts at ASCII white space: no step of the normalisation looks across it. What is ASCII throughout, which is most
// of most texts, then needs no Unicode properties.
void WordPieceTokenizer::EncodeSegment(std::string_view utf8, std::vector<uint32_t>& ids) const {
  std::string word;
  for (size_t i = 0; i < utf8.size();) {
    const size_t begin = i;
    bool ascii = true;
    while (i < utf8.size()) {
      const auto c = static_cast<unsigned char>(utf8[i]);
      if (!IsAscii(c)) {
        ascii = false;
      } else if (kAscii[c] == AsciiClass::kSpace) {
        break;
      }
      ++i;
    }
    const std::string_view run = utf8.substr(begin, i - begin);
    ++i;
    if (!ascii) {
      EncodeUnicodeRun(run, ids);
      continue;
    }
    word.clear();
    for (const char c : run) {
      switch (kAscii[static_cast<unsigned char>(c)]) {
        case AsciiClass::kLetter:
          word.push_back(lower_case_ ? absl::ascii_tolower(c) : c);
          break;
        case AsciiClass::kPunctuation:
          EncodeWord(word, ids);
          word.clear();
          EncodeWord({&c, 1}, ids);
          break;
        case AsciiClass::kDropped:
        case AsciiClass::kSpace:
          break;
      }
    }
    EncodeWord(word, ids);
  }
}

void WordPieceTokenizer::EncodeUnicodeRun(std::string_view utf8, std::vector<uint32_t>& ids) const {
  icu::UnicodeString text;
  for (size_t i = 0; i < utf8.size();) {
    UChar32 c;
    U8_NEXT(utf8.data(), i, utf8.size(), c);
    switch (c < 0 ? CharacterClass::kDropped : Classify(c)) {
      case CharacterClass::kDropped: break;
      case CharacterClass::kSpace: text.append(u' '); break;
      case CharacterClass::kIdeograph: text.append(u' ').append(c).append(u' '); break;
      case CharacterClass::kOther: text.append(c); break;
    }
  }
  if (lower_case_) text = Decompose(text, *tables_->nfd);
  std::string word;
  for (int32_t i = 0; i < text.length();) {
    UChar32 c = text.char32At(i);
    i += U16_LENGTH(c);
    if (lower_case_) {
      if (IsAccent(c)) continue;
      c = BertLowerCase(c);
    }
    const bool punctuation = IsBertPunctuation(c);
    if (c == ' ' || punctuation) {
      EncodeWord(word, ids);
      word.clear();
    }
    if (c == ' ') continue;
    AppendUtf8(c, word);
    if (punctuation) {
      EncodeWord(word, ids);
      word.clear();
    }
  }
  EncodeWord(word, ids);
}

void WordPieceTokenizer::EncodeWord(std::string_view word, std::vector<uint32_t>& ids) const {
  if (word.empty()) return;
  if (word.size() > kMaxWordCharacters &&
      std::count_if(word.begin(), word.end(), [](char c) { return !IsContinuation(c); }) > kMaxWordCharacters) {
    ids.push_back(unk_);
    return;
  }
  const size_t before = ids.size();
  const auto* table = &tables_->words;
  while (!word.empty()) {
    size_t size = std::min(word.size(), tables_->longest);
    while (size > 0) {
      if (size == word.size() || !IsContinuation(word[size])) {
        if (const auto found = table->find(word.substr(0, size)); found != table->end()) {
          ids.push_back(found->second);
          break;
        }
      }
      --size;
    }
    if (size == 0) {  // one piece is unknown: so is the word
      ids.resize(before);
      ids.push_back(unk_);
      return;
    }
    word.remove_prefix(size);
    table = &tables_->continuations;
  }
}

}  // namespace muster
