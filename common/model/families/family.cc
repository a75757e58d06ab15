#include "common/model/families/family.h"

#include <array>
#include <stdexcept>

namespace muster {
namespace {

constexpr std::array kFamilies = {&kBertFamily};

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

}  // namespace muster
