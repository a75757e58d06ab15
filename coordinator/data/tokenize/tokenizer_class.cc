#include "coordinator/data/tokenize/tokenizer_class.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/bert_words.h"
#include "coordinator/data/tokenize/pattern.h"
#include "coordinator/data/tokenize/tokenizer_config.h"

namespace muster {
namespace {

using nlohmann::json;

struct KnownClass {
  std::string_view name;  // without "Fast"
  TokenizerClass reads;
};
constexpr KnownClass kClasses[] = {
    {"BertTokenizer", TokenizerClass::kBert},
    {"DistilBertTokenizer", TokenizerClass::kBert},
    {"ElectraTokenizer", TokenizerClass::kBert},
    {"MPNetTokenizer", TokenizerClass::kBert},
    {"MobileBertTokenizer", TokenizerClass::kBert},
    {"LayoutLMTokenizer", TokenizerClass::kBert},
    {"SqueezeBertTokenizer", TokenizerClass::kBert},
    {"LxmertTokenizer", TokenizerClass::kBert},
    {"RobertaTokenizer", TokenizerClass::kRoberta},
    {"BartTokenizer", TokenizerClass::kRoberta},
    {"LEDTokenizer", TokenizerClass::kRoberta},
    {"MvpTokenizer", TokenizerClass::kRoberta},
    {"GPT2Tokenizer", TokenizerClass::kRoberta},
    {"XLMRobertaTokenizer", TokenizerClass::kXlmRoberta},
    {"Qwen2Tokenizer", TokenizerClass::kQwen2},
};

// Other classes of transformers 5 that create normalizer and pre-tokenizer themselves, or split texts in Python. A
// class that transformers does not know uses tokenizer.json unchanged.
constexpr std::string_view kOtherClasses[] = {
    "AlbertTokenizer", "BarthezTokenizer", "BartphoTokenizer", "BertGenerationTokenizer", "BertJapaneseTokenizer",
    "BertweetTokenizer", "BigBirdTokenizer", "BioGptTokenizer", "BlenderbotSmallTokenizer", "BlenderbotTokenizer",
    "ByT5Tokenizer", "CLIPTokenizer", "CTRLTokenizer", "CamembertTokenizer", "CanineTokenizer", "ClvpTokenizer",
    "CodeGenTokenizer", "CodeLlamaTokenizer", "CohereTokenizer", "CpmAntTokenizer", "CpmTokenizer",
    "DPRContextEncoderTokenizer", "DPRQuestionEncoderTokenizer", "DPRReaderTokenizer", "DebertaTokenizer",
    "DebertaV2Tokenizer", "DiaTokenizer", "EsmTokenizer", "EsmcTokenizer", "FNetTokenizer", "FSMTTokenizer",
    "FastSpeech2ConformerTokenizer", "FlaubertTokenizer", "FunnelTokenizer", "GPTNeoXJapaneseTokenizer",
    "GPTNeoXTokenizer", "GPTSw3Tokenizer", "GemmaTokenizer", "HerbertTokenizer", "LasrTokenizer",
    "LayoutLMv2Tokenizer", "LayoutLMv3Tokenizer", "LayoutXLMTokenizer", "LlamaTokenizer", "LukeTokenizer",
    "M2M100Tokenizer", "MBart50Tokenizer", "MBartTokenizer", "MLukeTokenizer", "MarianTokenizer", "MarkupLMTokenizer",
    "MgpstrTokenizer", "MyT5Tokenizer", "NllbTokenizer", "NougatTokenizer", "OpenAIGPTTokenizer", "PLBartTokenizer",
    "ParakeetTokenizer", "PegasusTokenizer", "PerceiverTokenizer", "PhobertTokenizer", "Pop2PianoTokenizer",
    "ProphetNetTokenizer", "Qwen3_5Tokenizer", "RagTokenizer", "ReformerTokenizer", "RemBertTokenizer",
    "RoCBertTokenizer", "RoFormerTokenizer", "SeamlessM4TTokenizer", "Siglip2Tokenizer", "SiglipTokenizer",
    "Speech2TextTokenizer", "SpeechT5Tokenizer", "SplinterTokenizer", "T5Tokenizer", "TapasTokenizer",
    "Tipsv2Tokenizer", "UdopTokenizer", "VideoPrismTokenizer", "VitsTokenizer", "Wav2Vec2CTCTokenizer",
    "Wav2Vec2PhonemeCTCTokenizer", "WhisperTokenizer", "XGLMTokenizer", "XLMTokenizer", "XLNetTokenizer",
};

struct ModelType {
  std::string_view name;
  TokenizerClass reads;
};
constexpr ModelType kModelTypes[] = {
    {"bert", TokenizerClass::kBert},           {"distilbert", TokenizerClass::kBert},
    {"mpnet", TokenizerClass::kBert},          {"electra", TokenizerClass::kBert},
    {"roberta", TokenizerClass::kRoberta},
    {"xlm-roberta", TokenizerClass::kXlmRoberta}, {"modernbert", TokenizerClass::kAsItIs},
    {"qwen3", TokenizerClass::kQwen2},
};

std::string NameOf(const JsonObject& config) {
  std::string name = config.String("tokenizer_class", "").value_or("");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

const char* ModelOf(TokenizerClass tokenizer_class) {
  switch (tokenizer_class) {
    case TokenizerClass::kBert: return "WordPiece";
    case TokenizerClass::kXlmRoberta: return "Unigram";
    case TokenizerClass::kRoberta:
    case TokenizerClass::kQwen2: return "BPE";
    case TokenizerClass::kAsItIs: break;
  }
  return "";
}

json ByteLevel(bool add_prefix_space, bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

absl::Status MakeBert(const JsonObject& config, json& tokenizer) {
  ASSIGN_OR_RETURN(const BertOptions options, BertOptionsOf(config));
  tokenizer["normalizer"] = {{"type", "BertNormalizer"},
                             {"clean_text", true},
                             {"handle_chinese_chars", options.split_ideographs},
                             {"strip_accents", options.strip_accents},
                             {"lowercase", options.lower_case}};
  tokenizer["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  return absl::OkStatus();
}

// The character map, anywhere in the normalizer.
json CharacterMapOf(const json& normalizer) {
  if (!normalizer.is_object()) return nullptr;
  if (normalizer.value("type", json()) == "Precompiled") return normalizer;
  const auto list = normalizer.find("normalizers");
  if (list == normalizer.end() || !list->is_array()) return nullptr;
  const auto found = std::ranges::find_if(
      *list, [](const json& step) { return step.is_object() && step.value("type", json()) == "Precompiled"; });
  return found == list->end() ? json() : *found;
}

absl::Status MakeXlmRoberta(const JsonObject& config, json& tokenizer) {
  ASSIGN_OR_RETURN(const bool prefix, config.Bool("add_prefix_space", true));
  tokenizer["normalizer"] = CharacterMapOf(tokenizer.value("normalizer", json()));
  tokenizer["pre_tokenizer"] = {{"type", "Sequence"},
                                {"pretokenizers",
                                 {{{"type", "WhitespaceSplit"}},
                                  {{"type", "Metaspace"},
                                   {"replacement", "\u2581"},
                                   {"prepend_scheme", prefix ? "always" : "never"},
                                   {"split", true}}}}};
  return absl::OkStatus();
}

absl::Status MakeRoberta(const JsonObject& config, json& tokenizer) {
  ASSIGN_OR_RETURN(const bool prefix, config.Bool("add_prefix_space", false));
  tokenizer["normalizer"] = nullptr;
  tokenizer["pre_tokenizer"] = ByteLevel(prefix, /*use_regex=*/true);
  return absl::OkStatus();
}

absl::Status MakeQwen2(const JsonObject& config, json& tokenizer) {
  ASSIGN_OR_RETURN(const bool prefix, config.Bool("add_prefix_space", false));
  tokenizer["normalizer"] = {{"type", "NFC"}};
  tokenizer["pre_tokenizer"] = {{"type", "Sequence"},
                                {"pretokenizers",
                                 {{{"type", "Split"},
                                   {"pattern", {{"Regex", std::string(kQwen2Pattern)}}},
                                   {"behavior", "Isolated"},
                                   {"invert", false}},
                                  ByteLevel(prefix, /*use_regex=*/false)}}};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerClass> TokenizerClassOf(const JsonObject& config, const JsonObject& model) {
  for (const JsonObject* file : {&config, &model}) {
    if (file->Find("tokenizer_class") != nullptr) RETURN_IF_ERROR(file->String("tokenizer_class").status());
  }
  const JsonObject& file = config.Find("tokenizer_class") != nullptr ? config : model;
  const std::string name = NameOf(file);
  const std::string type = model.String("model_type", "").value_or("");
  const auto* of_type = std::ranges::find(kModelTypes, std::string_view(type), &ModelType::name);
  const bool type_known = of_type != std::end(kModelTypes);
  if (name.empty()) return type_known ? of_type->reads : TokenizerClass::kAsItIs;
  if (type_known && of_type->reads == TokenizerClass::kAsItIs) return TokenizerClass::kAsItIs;
  const auto* known = std::ranges::find(kClasses, std::string_view(name), &KnownClass::name);
  if (known != std::end(kClasses)) return known->reads;
  if (std::ranges::find(kOtherClasses, std::string_view(name)) == std::end(kOtherClasses)) return TokenizerClass::kAsItIs;
  return file.Error("tokenizer_class",
                    absl::StrCat(name, " is not supported: it makes normalizer and pre-tokenizer itself. Set it to "
                                 "PreTrainedTokenizerFast if those of tokenizer.json are the right ones."));
}

absl::Status ApplyTokenizerClass(TokenizerClass tokenizer_class, const JsonObject& config, json& tokenizer) {
  if (tokenizer_class == TokenizerClass::kAsItIs) return absl::OkStatus();
  const auto model = tokenizer.find("model");
  const json type = model != tokenizer.end() && model->is_object() ? model->value("type", json()) : json();
  if (type.is_string() && type != ModelOf(tokenizer_class)) {
    return config.Error("tokenizer_class",
                        absl::StrCat("the class of the tokenizer needs a ", ModelOf(tokenizer_class),
                                     " model, and that of tokenizer.json is ", type.get<std::string>(),
                                     ". Set tokenizer_class to PreTrainedTokenizerFast."));
  }
  switch (tokenizer_class) {
    case TokenizerClass::kBert: return MakeBert(config, tokenizer);
    case TokenizerClass::kRoberta: return MakeRoberta(config, tokenizer);
    case TokenizerClass::kXlmRoberta: return MakeXlmRoberta(config, tokenizer);
    case TokenizerClass::kQwen2: return MakeQwen2(config, tokenizer);
    case TokenizerClass::kAsItIs: break;
  }
  return absl::OkStatus();
}

absl::Status CheckClassWithoutJson(TokenizerClass tokenizer_class, TokenizerClass reads, std::string_view file,
                                   const JsonObject& config) {
  if (tokenizer_class == reads || tokenizer_class == TokenizerClass::kAsItIs) return absl::OkStatus();
  return config.Error("tokenizer_class", absl::StrCat("the class of the tokenizer does not read ", ToAbsl(file),
                                                      ". Save the tokenizer with transformers 5, which writes "
                                                      "tokenizer.json."));
}

}  // namespace muster
