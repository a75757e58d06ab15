#include "common/model/hf_config.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/model/families/family.h"
#include "common/model/folder_files.h"
#include "common/model/harmless_keys.h"
#include "common/model/json_keys.h"
#include "common/model/sentence_config.h"
#include "common/model/sentence_modules.h"
#include "common/model/weights.h"
#include "common/small_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr uint64_t kMaxJsonBytes = 1 << 20;
constexpr uint64_t kMaxVocabularyBytes = 64 << 20;

absl::Status ReadTransformer(const std::filesystem::path& folder, EncoderConfig& config) {
  ASSIGN_OR_RETURN(const Keys keys, Keys::Read(folder, "config.json"));
  std::string type;
  RETURN_IF_ERROR(keys.Text("model_type", type));
  const Family* family = FindFamily(type);
  if (family == nullptr) {
    return keys.Wrong(absl::StrCat("model_type: ", ShownValue(type), " is not supported. Supported: ",
                                   absl::StrJoin(FamilyNames(), ", "), "."));
  }
  config.architecture = type;
  RETURN_IF_ERROR(family->read(keys, config));
  std::vector<HarmlessKey> harmless(family->harmless.begin(), family->harmless.end());
  harmless.insert(harmless.end(), HarmlessTransformerKeys().begin(), HarmlessTransformerKeys().end());
  RETURN_IF_ERROR(keys.RefuseUnknown(harmless));
  ASSIGN_OR_RETURN(config.config_json, ReadSmallFile(folder / "config.json", kMaxJsonBytes));
  return absl::OkStatus();
}

std::string WithThousands(int64_t number) {
  std::string digits = absl::StrCat(number);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(i, ",");
  return digits;
}

absl::Status CheckVocabularyFile(const std::filesystem::path& folder, const EncoderConfig& config) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "vocab.txt", error)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string vocabulary, ReadSmallFile(folder / "vocab.txt", kMaxVocabularyBytes));
  const int64_t lines = std::count(vocabulary.begin(), vocabulary.end(), '\n') +
                        (!vocabulary.empty() && vocabulary.back() != '\n' ? 1 : 0);
  return CheckVocabulary("vocab.txt", lines, config);
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
  RETURN_IF_ERROR(ReadSentenceModules(folder, config));
  RETURN_IF_ERROR(ReadLengths(folder, config));
  RETURN_IF_ERROR(ReadPrompts(folder, config));
  if (const std::vector<std::string> unknown = UnknownConfigFiles(folder); !unknown.empty()) {
    config.notes.push_back(absl::StrCat(SomeNames(unknown), unknown.size() == 1 ? " is" : " are",
                                        " not known and not used."));
  }
  return config;
}

std::vector<TensorShape> EncoderTensors(const EncoderConfig& config) { return FamilyOf(config).tensors(config); }

std::vector<TensorShape> DenseTensors(const DenseModule& module) {
  std::vector<TensorShape> tensors = {{module.folder + ".linear.weight", {module.out, module.in}}};
  if (module.bias) tensors.push_back({module.folder + ".linear.bias", {module.out}});
  return tensors;
}

absl::Status CheckVocabulary(std::string_view tokenizer, int64_t entries, const EncoderConfig& config) {
  if (entries <= config.vocabulary_size) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      ToAbsl(tokenizer), " has ", WithThousands(entries), " entries, ", EncoderTensors(config).front().name, " has ",
      WithThousands(config.vocabulary_size), " rows: the tokenizer belongs to another model."));
}

absl::Status CheckModelFolder(const std::filesystem::path& folder, const EncoderConfig& config,
                              std::vector<std::string>* notes) {
  ASSIGN_OR_RETURN(ModelWeights weights, FindWeights(folder, config));
  if (notes != nullptr) notes->insert(notes->end(), weights.notes.begin(), weights.notes.end());
  return CheckVocabularyFile(folder, config);
}

}  // namespace muster
