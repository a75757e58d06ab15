#include "worker/rank/link/model_checkpoint.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "worker/rank/export/export.h"
#include "worker/rank/link/cache.h"
#include "worker/rank/link/export_run.h"
#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/model_spec.h"

namespace muster {
namespace {

using muster::v1::ModelCheckpoint;

// "the checkpoint of step 40 of job k3v9x0qa"
std::string NameOf(const ModelCheckpoint& checkpoint) {
  return absl::StrCat("the checkpoint of step ", checkpoint.step(), " of job ", checkpoint.job_id());
}

// Gives the encoder the weights of the stored checkpoint.
absl::Status LoadWeights(const ModelCheckpoint& checkpoint, BlobClient& blobs, const std::filesystem::path& file,
                         Encoder& encoder) {
  ASSIGN_OR_RETURN(const auto manifest, blobs.GetManifest(checkpoint.manifest()));
  const auto found = std::find_if(manifest.files().begin(), manifest.files().end(),
                                  [](const auto& entry) { return entry.path() == kCheckpointModelFile; });
  if (found == manifest.files().end()) {
    return absl::DataLossError(absl::StrCat("its manifest does not name ", kCheckpointModelFile));
  }
  RETURN_IF_ERROR(blobs.GetFile(found->digest(), file));
  const absl::StatusOr<std::vector<Parameter>> weights = ReadSafetensors(file);
  const absl::Status status = weights.ok() ? AssignParameters(*weights, encoder.parameters()) : weights.status();
  // The bytes match their digests, so an error here means that what was stored is damaged.
  return absl::IsInvalidArgument(status) ? absl::DataLossError(status.message()) : status;
}

ModelCard CardOf(const ModelCheckpoint& checkpoint) {
  const muster::v1::ModelSpec& spec = checkpoint.model();
  return {.title = absl::StrCat("Job ", checkpoint.job_id(), ", step ", checkpoint.step()),
          .base_model = spec.from(),
          .query_tokens = spec.max_length().query(),
          .passage_tokens = spec.max_length().passage(),
          .data = {},
          .settings = {{"checkpoint", absl::StrCat("of step ", checkpoint.step())}, {"seed", absl::StrCat(checkpoint.seed())}},
          .scores = {}};
}

}  // namespace

absl::StatusOr<std::filesystem::path> FolderOfCheckpoint(const ModelCheckpoint& checkpoint, const std::string& base,
                                                         BlobClient& blobs, const std::filesystem::path& cache,
                                                         const std::filesystem::path& scratch) {
  const std::filesystem::path work = scratch / absl::StrCat("model-", checkpoint.job_id(), "-", checkpoint.step());
  RETURN_IF_ERROR(MakeFolders(work));
  std::filesystem::path before;  // the folder that its job started from
  if (checkpoint.has_base()) {
    ASSIGN_OR_RETURN(before, FolderOfCheckpoint(checkpoint.base(), base, blobs, cache, work));
  } else if (checkpoint.model().preset().empty()) {
    ASSIGN_OR_RETURN(before, FetchIntoCache(blobs, base, cache));
  }
  muster::v1::JobSpec spec;
  *spec.mutable_model() = checkpoint.model();
  spec.set_seed(checkpoint.seed());
  spec.set_precision(muster::v1::PRECISION_FP32);
  ASSIGN_OR_RETURN(const std::unique_ptr<Encoder> encoder,
                   EncoderFromSpec(spec, before, checkpoint.vocabulary_size(), at::kCPU));
  RETURN_IF_ERROR(WithContext(LoadWeights(checkpoint, blobs, work / "weights", *encoder), NameOf(checkpoint)));
  const std::filesystem::path tokenizer = work / "tokenizer";
  ASSIGN_OR_RETURN(const auto files, blobs.GetManifest(checkpoint.tokenizer_manifest()));
  RETURN_IF_ERROR(blobs.GetFolder(files, tokenizer));
  const std::filesystem::path folder = work / "model";
  RETURN_IF_ERROR(WithContext(ExportEncoder(*encoder, {.folder = folder,
                                                       .tokenizer = tokenizer,
                                                       .query_prompt = checkpoint.prompts().query(),
                                                       .passage_prompt = checkpoint.prompts().passage(),
                                                       .probe = {},
                                                       .card = CardOf(checkpoint)}),
                              NameOf(checkpoint)));
  std::error_code ignored;  // the agent removes the scratch folder in any case
  for (const char* part : {"weights", "tokenizer"}) std::filesystem::remove_all(work / part, ignored);
  if (checkpoint.has_base()) std::filesystem::remove_all(before, ignored);
  return folder;
}

}  // namespace muster
