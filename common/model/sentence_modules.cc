#include "common/model/sentence_modules.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/model/json_keys.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr std::string_view kKinds[] = {"Transformer", "Pooling", "Dense", "Normalize"};
// Where sentence-transformers keeps its modules: until 5.3, from 5.4, and from 6.
constexpr std::string_view kPackages[] = {"sentence_transformers.models",
                                          "sentence_transformers.sentence_transformer.modules",
                                          "sentence_transformers.base.modules"};

struct PoolingName {
  const char* name;  // of pooling_mode, since 5.4
  const char* flag;  // until 5.3
  PoolingMode mode;
};
constexpr PoolingName kPoolings[] = {
    {"cls", "pooling_mode_cls_token", PoolingMode::kCls},
    {"mean", "pooling_mode_mean_tokens", PoolingMode::kMean},
    {"max", "pooling_mode_max_tokens", PoolingMode::kMax},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", PoolingMode::kMeanSqrtLength},
    {"weightedmean", "pooling_mode_weightedmean_tokens", PoolingMode::kWeightedMean},
    {"lasttoken", "pooling_mode_lasttoken", PoolingMode::kLast},
};

struct DenseActivation {
  const char* name;
  const char* path;  // the class's path; torch.nn also exports all of them
};
constexpr DenseActivation kDenseActivations[] = {
    {"tanh", "torch.nn.modules.activation.Tanh"},       {"identity", "torch.nn.modules.linear.Identity"},
    {"relu", "torch.nn.modules.activation.ReLU"},       {"gelu", "torch.nn.modules.activation.GELU"},
    {"silu", "torch.nn.modules.activation.SiLU"},       {"sigmoid", "torch.nn.modules.activation.Sigmoid"},
};

// The kind of a module, by exact class path: PACKAGE.Kind, or with the file's name PACKAGE.Kind.Kind (until 5.3) or
// PACKAGE.kind.Kind. Empty: unknown.
std::string_view KindOf(std::string_view type) {
  for (const std::string_view package : kPackages) {
    for (const std::string_view kind : kKinds) {
      const std::string path = absl::StrCat(ToAbsl(package), ".", ToAbsl(kind));
      std::string file(kind);
      file[0] = static_cast<char>(file[0] - 'A' + 'a');
      if (type == path || type == absl::StrCat(path, ".", ToAbsl(kind)) ||
          type == absl::StrCat(ToAbsl(package), ".", file, ".", ToAbsl(kind))) {
        return kind;
      }
    }
  }
  return "";
}

struct Module {
  std::string_view kind;
  std::string path;  // relative, without a slash at its end; empty: the folder itself
};

absl::StatusOr<Module> ReadModule(const json& entry, size_t position) {
  const std::string name = absl::StrCat("modules.json: module ", position);
  if (!entry.is_object()) return absl::InvalidArgumentError(absl::StrCat(name, ": must be an object"));
  const Keys keys(name, entry);
  std::string type;
  RETURN_IF_ERROR(keys.Text("type", type));
  Module module{.kind = KindOf(type), .path = ""};
  if (module.kind.empty()) {
    return keys.Wrong(absl::StrCat("type ", ShownValue(type), " is not supported. Supported: Transformer, Pooling, Dense "
                                   "and Normalize of sentence-transformers 2 to 6 (", ToAbsl(kPackages[0]), ".Pooling)."));
  }
  int64_t index = static_cast<int64_t>(position);
  RETURN_IF_ERROR(keys.Size("idx", index, 0));
  if (index != static_cast<int64_t>(position)) {
    return keys.Wrong(absl::StrCat("idx ", index, " contradicts the module's place in the list, ", position,
                                   ". List the modules in the order in which they run."));
  }
  if (module.kind != "Transformer") module.path = absl::StrCat(position, "_", ToAbsl(module.kind));
  RETURN_IF_ERROR(keys.Text("path", module.path));
  module.path = std::string(absl::StripSuffix(module.path, "/"));
  if (module.path.empty() ? module.kind != "Transformer" : !IsSafeRelativePath(module.path)) {
    return keys.Wrong(absl::StrCat("path ", ShownValue(module.path), " is not a folder in the model's folder"));
  }
  constexpr HarmlessKey kHarmless[] = {{"name", "a label"},
                                       {"kwargs", "arguments of the call would reach the module", true}};
  RETURN_IF_ERROR(keys.RefuseUnknown(kHarmless));
  return module;
}

absl::StatusOr<PoolingMode> PoolingOfName(const Keys& keys, const json& value) {
  const json* name = &value;
  if (value.is_array() && value.size() == 1) name = &value[0];
  if (name->is_array()) {
    return keys.Wrong("pooling_mode: several modes, whose vectors are put one after the other, are not supported. Choose one.");
  }
  for (const PoolingName& pooling : kPoolings) {
    if (name->is_string() && name->get_ref<const std::string&>() == pooling.name) return pooling.mode;
  }
  return keys.Wrong(absl::StrCat("pooling_mode: ", ShownValue(*name), " is not supported. Supported: cls, mean, max, "
                                 "mean_sqrt_len_tokens, weightedmean, lasttoken."));
}

// The only switch that is on. A file without any does not set the pooling.
absl::StatusOr<PoolingMode> PoolingOfFlags(const Keys& keys) {
  std::optional<PoolingMode> mode;
  for (const PoolingName& pooling : kPoolings) {
    bool on = false;
    RETURN_IF_ERROR(keys.Boolean(pooling.flag, on));
    if (on && mode.has_value()) {
      return keys.Wrong(absl::StrCat(pooling.flag, ": a second pooling, whose vector is put after the first's, is not "
                                     "supported. Leave one pooling_mode_* on."));
    }
    if (on) mode = pooling.mode;
  }
  if (mode.has_value()) return *mode;
  return keys.Wrong("names no pooling. Set pooling_mode to cls, mean, max, mean_sqrt_len_tokens, weightedmean or "
                    "lasttoken, or one of pooling_mode_cls_token, pooling_mode_mean_tokens, … to true.");
}

absl::Status ReadPooling(const std::filesystem::path& folder, const std::string& path, EncoderConfig& config) {
  ASSIGN_OR_RETURN(const Keys keys, Keys::Read(folder, path + "/config.json"));
  const json* name = keys.Find("pooling_mode");
  if (name != nullptr) {
    // In every version of sentence-transformers that has the name, it overrides the switches.
    ASSIGN_OR_RETURN(config.pooling, PoolingOfName(keys, *name));
    for (const PoolingName& pooling : kPoolings) {
      bool on = false;
      RETURN_IF_ERROR(keys.Boolean(pooling.flag, on));
      if (!on || pooling.mode == config.pooling) continue;
      config.notes.push_back(absl::StrCat(keys.name(), ": pooling_mode ", ShownValue(*name), " wins over ", pooling.flag,
                                          ", as in sentence-transformers."));
    }
  } else {
    ASSIGN_OR_RETURN(config.pooling, PoolingOfFlags(keys));
  }
  for (const char* key : {"embedding_dimension", "word_embedding_dimension"}) {
    int64_t size = config.hidden_size;
    RETURN_IF_ERROR(keys.Size(key, size));
    if (size == config.hidden_size) continue;
    return keys.Wrong(absl::StrCat(key, ": ", size, ", the model's vectors have ", config.hidden_size,
                                   " numbers. The file belongs to another model."));
  }
  bool include_prompt = true;
  RETURN_IF_ERROR(keys.Boolean("include_prompt", include_prompt));
  config.exclude_prompt = !include_prompt;
  return keys.RefuseUnknown({});
}

// Since 5.4 modules may read and write values other than the embedding.
absl::Status CheckFeatures(const Keys& keys) {
  for (const char* key : {"module_input_name", "module_output_name"}) {
    std::string feature = "sentence_embedding";
    RETURN_IF_ERROR(keys.Text(key, feature));
    RETURN_IF_ERROR(keys.Supported(key, feature, {"sentence_embedding"}));
  }
  return absl::OkStatus();
}

absl::Status ReadDenseActivation(const Keys& keys, std::string& activation) {
  std::string type = DenseActivationClass(activation);
  RETURN_IF_ERROR(keys.Text("activation_function", type));
  for (const DenseActivation& known : kDenseActivations) {
    const absl::string_view path = known.path;
    const absl::string_view kind = path.substr(path.rfind('.') + 1);
    if (type != path && type != absl::StrCat("torch.nn.", kind)) continue;
    activation = known.name;
    return absl::OkStatus();
  }
  return keys.Supported("activation_function", type,
                        {"torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity",
                         "torch.nn.modules.activation.ReLU", "torch.nn.modules.activation.GELU",
                         "torch.nn.modules.activation.SiLU", "torch.nn.modules.activation.Sigmoid"});
}

absl::Status ReadDense(const std::filesystem::path& folder, const std::string& path, EncoderConfig& config) {
  ASSIGN_OR_RETURN(const Keys keys, Keys::Read(folder, path + "/config.json"));
  DenseModule dense{.folder = path};
  RETURN_IF_ERROR(keys.RequiredSize("in_features", dense.in));
  RETURN_IF_ERROR(keys.RequiredSize("out_features", dense.out));
  RETURN_IF_ERROR(keys.Boolean("bias", dense.bias));
  RETURN_IF_ERROR(ReadDenseActivation(keys, dense.activation));
  RETURN_IF_ERROR(CheckFeatures(keys));
  constexpr HarmlessKey kHarmless[] = {{"use_residual", "the module's input would be added to its output", true}};
  RETURN_IF_ERROR(keys.RefuseUnknown(kHarmless));
  if (dense.in != config.EmbeddingSize()) {
    return keys.Wrong(absl::StrCat("in_features: ", dense.in, ", the module before it makes ",
                                   config.EmbeddingSize(), " numbers."));
  }
  config.dense.push_back(std::move(dense));
  return absl::OkStatus();
}

// Before 5.4 the module's folder is empty.
absl::Status ReadNormalize(const std::filesystem::path& folder, const std::string& path, EncoderConfig& config) {
  ASSIGN_OR_RETURN(const Keys keys, Keys::ReadOptional(folder, path + "/config.json"));
  RETURN_IF_ERROR(CheckFeatures(keys));
  config.normalize = true;
  return keys.RefuseUnknown({});
}

// Accepts Transformer, Pooling, any number of Dense, and optionally Normalize.
absl::Status CheckOrder(const std::vector<Module>& modules) {
  std::string order;
  for (const Module& module : modules) absl::StrAppend(&order, order.empty() ? "" : ", ", ToAbsl(module.kind));
  const auto wrong = absl::InvalidArgumentError(
      absl::StrCat("modules.json: the modules ", order.empty() ? "(none)" : order, " are not supported in this order. "
                   "Supported: Transformer, Pooling, then Dense if any, then Normalize if any."));
  if (modules.size() < 2 || modules[0].kind != "Transformer" || modules[1].kind != "Pooling") return wrong;
  for (size_t i = 2; i < modules.size(); ++i) {
    const bool after_normalize = modules[i - 1].kind == "Normalize";
    const bool fits = modules[i].kind == "Normalize" || (modules[i].kind == "Dense" && !after_normalize);
    if (!fits) return wrong;
  }
  if (!modules[0].path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "modules.json: the transformer is in ", modules[0].path, ", which is not supported. Load the folder with "
        "sentence-transformers and save it again: that puts the transformer into the folder itself."));
  }
  return absl::OkStatus();
}

// The family has set the pooling that its models use.
absl::Status ReadWithoutModules(const std::filesystem::path& folder, EncoderConfig& config) {
  std::error_code error;
  std::string pooling = config.pooling == PoolingMode::kLast ? "pooling by the last token" : "mean pooling";
  if (std::filesystem::exists(folder / "1_Pooling/config.json", error)) {
    RETURN_IF_ERROR(ReadPooling(folder, "1_Pooling", config));
    pooling = "the pooling of 1_Pooling/config.json";
  }
  config.notes.push_back(absl::StrCat("modules.json is missing: ", pooling, " and normalization are assumed. Set "
                                      "model.pooling and model.normalize of the job to change that."));
  return absl::OkStatus();
}

}  // namespace

std::string DenseActivationClass(std::string_view activation) {
  const auto* known = std::find_if(std::begin(kDenseActivations), std::end(kDenseActivations),
                                   [&](const DenseActivation& one) { return activation == one.name; });
  return known == std::end(kDenseActivations) ? "" : known->path;
}

absl::Status ReadSentenceModules(const std::filesystem::path& folder, EncoderConfig& config) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "modules.json", error)) return ReadWithoutModules(folder, config);
  ASSIGN_OR_RETURN(const json list, ReadJsonFile(folder, "modules.json"));
  if (!list.is_array()) return absl::InvalidArgumentError("modules.json: must be a JSON array");
  std::vector<Module> modules;
  for (const json& entry : list) {
    ASSIGN_OR_RETURN(Module module, ReadModule(entry, modules.size()));
    modules.push_back(std::move(module));
  }
  RETURN_IF_ERROR(CheckOrder(modules));
  config.normalize = false;
  for (const Module& module : modules) {
    if (module.kind == "Pooling") RETURN_IF_ERROR(ReadPooling(folder, module.path, config));
    if (module.kind == "Dense") RETURN_IF_ERROR(ReadDense(folder, module.path, config));
    if (module.kind == "Normalize") RETURN_IF_ERROR(ReadNormalize(folder, module.path, config));
  }
  return absl::OkStatus();
}

}  // namespace muster
