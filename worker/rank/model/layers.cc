#include "worker/rank/model/layers.h"

#include "common/model/families/family.h"

namespace muster {

std::unique_ptr<Layers> MakeLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16) {
  const Family& family = FamilyOf(config);
  if (family.post_norm != nullptr) return MakePostNormLayers(config, weights, bfloat16);
  if (&family == &kModernBertFamily) return MakeModernBertLayers(config, weights, bfloat16);
  TORCH_CHECK(&family == &kQwen3Family, "no layers for ", config.architecture);
  return MakeQwen3Layers(config, weights, bfloat16);
}

}  // namespace muster
