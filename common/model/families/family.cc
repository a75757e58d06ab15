#include "common/model/families/family.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr std::array kFamilies = {&kBertFamily,       &kDistilBertFamily, &kModernBertFamily, &kMpnetFamily,
                                  &kQwen3Family,      &kRobertaFamily,    &kXlmRobertaFamily};

}  // namespace

const Family* FindFamily(std::string_view model_type) {
  for (const Family* family : kFamilies) {
    if (family->model_type == model_type) return family;
  }
  return nullptr;
}

const Family& FamilyOf(const EncoderConfig& config) {
  const Family* family = FindFamily(config.architecture);
  if (family == nullptr) throw std::logic_error("no family of encoders is named \"" + config.architecture + "\"");
  return *family;
}

std::vector<std::string> FamilyNames() {
  std::vector<std::string> names;
  for (const Family* family : kFamilies) names.emplace_back(family->model_type);
  return names;
}

absl::StatusOr<std::vector<TensorShape>> LoraTargets(const EncoderConfig& config,
                                                     const std::vector<std::string>& targets) {
  std::vector<TensorShape> products, chosen;
  std::vector<std::string> ends;  // the first layer's targets, for the message
  for (TensorShape& tensor : FamilyOf(config).tensors(config)) {
    if (tensor.shape.size() != 2 || !absl::StrContains(tensor.name, "layer")) continue;
    const std::string name = tensor.name.substr(0, tensor.name.rfind('.'));
    if (absl::StrContains(name, ".0.")) ends.push_back(name.substr(name.find(".0.") + 3));
    products.push_back({name + ".weight", std::move(tensor.shape)});
  }
  const auto is_target = [](const std::string& product, const std::string& target) {
    const absl::string_view name = absl::StripSuffix(product, ".weight");
    return !target.empty() && (name == target || absl::EndsWith(name, absl::StrCat(".", target)));
  };
  for (const std::string& target : targets) {
    if (std::none_of(products.begin(), products.end(), [&](const auto& product) { return is_target(product.name, target); })) {
      return absl::InvalidArgumentError(absl::StrCat("model.lora.targets: \"", target, "\" is not a product of a ",
                                                     config.architecture, " model. Allowed: ends of ",
                                                     absl::StrJoin(ends, ", "), "."));
    }
  }
  for (TensorShape& product : products) {
    const bool wanted = targets.empty() || std::any_of(targets.begin(), targets.end(), [&](const std::string& target) {
      return is_target(product.name, target);
    });
    if (wanted) chosen.push_back(std::move(product));
  }
  return chosen;
}

bool IsNormWeight(std::string_view name) {
  return absl::EndsWith(ToAbsl(name), ".weight") && absl::StrContains(absl::AsciiStrToLower(ToAbsl(name)), "norm");
}

bool IsNormBias(std::string_view name) {
  return absl::EndsWith(ToAbsl(name), ".bias") && absl::StrContains(absl::AsciiStrToLower(ToAbsl(name)), "norm");
}

bool IsUndecayed(std::string_view name) {
  return absl::EndsWith(ToAbsl(name), ".bias") || IsNormWeight(name) ||
         absl::EndsWith(ToAbsl(name), "relative_attention_bias.weight");
}

}  // namespace muster
