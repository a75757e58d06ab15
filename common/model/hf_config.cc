#include "common/model/hf_config.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/model/families/family.h"
#include "common/model/json_keys.h"
#include "common/small_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 8 << 20;  // of 1024 layers it has 3 MB; the format's own limit is 100 MB
constexpr uint64_t kMaxJsonBytes = 1 << 20;
constexpr uint64_t kMaxVocabularyBytes = 64 << 20;

absl::StatusOr<json> ReadJson(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file, kMaxJsonBytes));
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return WrongFile(file, "is no JSON");
  return value;
}

// An object, or an empty one where the file does not exist.
absl::StatusOr<json> ReadOptionalObject(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return json::object();
  ASSIGN_OR_RETURN(json value, ReadJson(file));
  if (!value.is_object()) return WrongFile(file, "must be a JSON object");
  return value;
}

absl::Status ReadTransformer(const std::filesystem::path& folder, EncoderConfig& config) {
  const std::filesystem::path file = folder / "config.json";
  ASSIGN_OR_RETURN(json value, ReadJson(file));
  if (!value.is_object()) return WrongFile(file, "must be a JSON object");
  const Keys keys(file, std::move(value));
  std::string type;
  RETURN_IF_ERROR(keys.Text("model_type", type));
  const Family* family = FindFamily(type);
  if (family == nullptr) {
    return WrongFile(file, absl::StrCat("model_type: \"", type, "\" is not supported. Supported: ",
                                        absl::StrJoin(FamilyNames(), ", "), "."));
  }
  config.architecture = type;
  RETURN_IF_ERROR(family->read(keys, config));
  config.max_sequence_length = config.max_positions;
  return absl::OkStatus();
}

absl::Status ReadPooling(const std::filesystem::path& folder, EncoderConfig& config) {
  const std::filesystem::path file = folder / "1_Pooling" / "config.json";
  ASSIGN_OR_RETURN(json value, ReadOptionalObject(file));
  const Keys keys(file, std::move(value));
  bool cls = false, mean = false, last = false, other = false;
  RETURN_IF_ERROR(keys.Boolean("pooling_mode_cls_token", cls));
  RETURN_IF_ERROR(keys.Boolean("pooling_mode_mean_tokens", mean));
  RETURN_IF_ERROR(keys.Boolean("pooling_mode_lasttoken", last));
  for (const char* key :
       {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens"}) {
    bool on = false;
    RETURN_IF_ERROR(keys.Boolean(key, on));
    other |= on;
  }
  const int modes = cls + mean + last;
  if (other || modes > 1) {
    return WrongFile(file,
                     "this pooling is not supported. Supported: one of pooling_mode_cls_token, "
                     "pooling_mode_mean_tokens, pooling_mode_lasttoken.");
  }
  if (cls) config.pooling = PoolingMode::kCls;
  if (last) config.pooling = PoolingMode::kLast;
  return absl::OkStatus();
}

// modules.json: Transformer, Pooling and, if embeddings are normalised, Normalize.
absl::Status ReadModules(const std::filesystem::path& folder, EncoderConfig& config) {
  const std::filesystem::path file = folder / "modules.json";
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const json modules, ReadJson(file));
  if (!modules.is_array()) return WrongFile(file, "must be a JSON array");
  config.normalize = false;
  for (const json& module : modules) {
    std::string type;
    if (module.is_object() && module.contains("type") && module["type"].is_string()) type = module["type"];
    if (absl::EndsWith(type, ".Normalize")) {
      config.normalize = true;
    } else if (!absl::EndsWith(type, ".Transformer") && !absl::EndsWith(type, ".Pooling")) {
      return WrongFile(file, absl::StrCat("module \"", type,
                                          "\" is not supported. Supported: Transformer, Pooling, "
                                          "Normalize."));
    }
  }
  return absl::OkStatus();
}

bool IsFloat(absl::string_view dtype) { return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64"; }

uint64_t BytesOf(absl::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL") return 1;
  return 0;  // not known: its size is not checked
}

std::string ShapeText(const std::vector<int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

absl::StatusOr<SafetensorsEntry> ParseEntry(const std::filesystem::path& file, const std::string& name,
                                            const json& value) {
  const auto wrong = [&](absl::string_view what) { return WrongFile(file, absl::StrCat("tensor ", name, ": ", what)); };
  if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() || !value.contains("shape") ||
      !value["shape"].is_array() || !value.contains("data_offsets") || !value["data_offsets"].is_array() ||
      value["data_offsets"].size() != 2) {
    return wrong("needs dtype, shape and data_offsets");
  }
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = value["dtype"];
  uint64_t elements = 1;
  for (const json& size : value["shape"]) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > (uint64_t{1} << 40)) return wrong("has a wrong shape");
    entry.shape.push_back(size.get<int64_t>());
    if (__builtin_mul_overflow(elements, size.get<uint64_t>(), &elements)) return wrong("is too large");
  }
  for (const json& offset : value["data_offsets"]) {
    if (!offset.is_number_unsigned()) return wrong("has wrong data_offsets");
  }
  entry.begin = value["data_offsets"][0].get<uint64_t>();
  entry.end = value["data_offsets"][1].get<uint64_t>();
  if (entry.end < entry.begin) return wrong("has wrong data_offsets");
  const uint64_t width = BytesOf(entry.dtype);
  if (width != 0 && (entry.end - entry.begin) / width != elements) {
    return wrong(absl::StrCat("has ", entry.end - entry.begin, " bytes, its shape ", ShapeText(entry.shape), " of ",
                              entry.dtype, " needs ", elements * width));
  }
  return entry;
}

std::string WithThousands(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(i, ",");
  return digits;
}

absl::Status CheckTensors(const std::filesystem::path& folder, const EncoderConfig& config) {
  const std::filesystem::path file = folder / "model.safetensors";
  ASSIGN_OR_RETURN(const std::vector<SafetensorsEntry> entries, ReadSafetensorsHeader(file));
  std::map<std::string, const SafetensorsEntry*, std::less<>> by_name;
  for (const SafetensorsEntry& entry : entries) by_name.emplace(entry.name, &entry);
  for (const TensorShape& tensor : EncoderTensors(config)) {
    auto found = by_name.end();
    for (const std::string& name : FileNames(FamilyOf(config), tensor.name)) {
      if (found == by_name.end()) found = by_name.find(name);
    }
    if (found == by_name.end()) {
      return WrongFile(file, absl::StrCat(tensor.name, " ", ShapeText(tensor.shape),
                                          " is missing. The weights must be those of config.json."));
    }
    const SafetensorsEntry& entry = *found->second;
    if (entry.shape != tensor.shape) {
      return WrongFile(file, absl::StrCat(tensor.name, " has shape ", ShapeText(entry.shape), ", config.json needs ",
                                          ShapeText(tensor.shape), "."));
    }
    if (!IsFloat(entry.dtype)) {
      return WrongFile(file, absl::StrCat(tensor.name, " is ", entry.dtype, ". It must be F32, F16, BF16 or F64."));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EncoderConfig> PresetConfig(std::string_view preset, int64_t vocabulary_size) {
  if (preset != "tiny") {
    return absl::InvalidArgumentError(absl::StrCat("unknown preset \"", ToAbsl(preset), "\". Allowed: tiny."));
  }
  if (vocabulary_size < 1) return absl::InvalidArgumentError("a preset needs a vocabulary with entries.");
  EncoderConfig config;
  config.vocabulary_size = vocabulary_size;
  return config;
}

absl::StatusOr<EncoderConfig> ReadEncoderConfig(const std::filesystem::path& folder) {
  EncoderConfig config;
  RETURN_IF_ERROR(ReadTransformer(folder, config));
  RETURN_IF_ERROR(ReadPooling(folder, config));
  RETURN_IF_ERROR(ReadModules(folder, config));
  ASSIGN_OR_RETURN(json sentence, ReadOptionalObject(folder / "sentence_bert_config.json"));
  RETURN_IF_ERROR(Keys(folder / "sentence_bert_config.json", std::move(sentence))
                      .Size("max_seq_length", config.max_sequence_length, 3));
  config.max_sequence_length = std::min(config.max_sequence_length, config.max_positions);
  ASSIGN_OR_RETURN(json tokenizer, ReadOptionalObject(folder / "tokenizer_config.json"));
  RETURN_IF_ERROR(
      Keys(folder / "tokenizer_config.json", std::move(tokenizer)).Boolean("do_lower_case", config.lower_case));
  return config;
}

std::vector<TensorShape> EncoderTensors(const EncoderConfig& config) { return FamilyOf(config).tensors(config); }

std::vector<TensorShape> DenseTensors(const DenseModule& module) {
  std::vector<TensorShape> tensors = {{module.folder + ".linear.weight", {module.out, module.in}}};
  if (module.bias) tensors.push_back({module.folder + ".linear.bias", {module.out}});
  return tensors;
}

absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
  const std::string_view bytes = mapped.bytes();
  uint64_t length = 0;  // little-endian, as every machine that Muster runs on
  if (bytes.size() < sizeof(length)) return WrongFile(file, "is too short for a safetensors file");
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kMaxHeaderBytes || length > bytes.size() - sizeof(length)) {
    return WrongFile(file, absl::StrCat("header of ", length, " bytes does not fit in a file of ", bytes.size(),
                                        ": the file is cut off or no safetensors file"));
  }
  const json header = json::parse(bytes.substr(sizeof(length), length), nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return WrongFile(file, "header is no JSON object");
  const uint64_t data = sizeof(length) + length;
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    ASSIGN_OR_RETURN(SafetensorsEntry entry, ParseEntry(file, name, value));
    if (entry.end > bytes.size() - data) {
      return WrongFile(file, absl::StrCat("tensor ", name, " ends at byte ", data + entry.end, " of ", bytes.size(),
                                          ": the file is cut off. Copy it again."));
    }
    entry.begin += data;
    entry.end += data;
    entries.push_back(std::move(entry));
  }
  return entries;
}

absl::Status CheckModelFolder(const std::filesystem::path& folder, const EncoderConfig& config) {
  RETURN_IF_ERROR(CheckTensors(folder, config));
  ASSIGN_OR_RETURN(const std::string vocabulary,
                   ReadSmallFile(folder / "vocab.txt", kMaxVocabularyBytes));
  const int64_t lines = std::count(vocabulary.begin(), vocabulary.end(), '\n') +
                        (!vocabulary.empty() && vocabulary.back() != '\n' ? 1 : 0);
  if (lines != config.vocabulary_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("vocab.txt has ", WithThousands(lines), " entries, embeddings.word_embeddings.weight has ",
                     WithThousands(config.vocabulary_size), " rows: the tokenizer belongs to another model."));
  }
  return absl::OkStatus();
}

}  // namespace muster
