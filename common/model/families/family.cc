#include "common/model/families/family.h"

#include <array>
#include <stdexcept>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
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
