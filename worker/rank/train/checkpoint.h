// A checkpoint is a folder with everything that bitwise resume needs: model.safetensors, optimizer.safetensors, state.json,
// and best.safetensors once an evaluation has chosen one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/sample_ledger.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/train/optimizer.h"

namespace muster {

// The position of a training run.
struct TrainingCursor {
  uint64_t step = 0;  // steps done, which is also the index of the next step
  uint64_t total_steps = 0;
  uint64_t seed = 0;
  std::string spec_digest;
  uint64_t evaluations_done = 0;
  uint64_t evaluations_without_better = 0;
  std::optional<double> best_metric;  // of the best evaluation so far
  uint64_t best_step = 0;
  std::optional<muster::v1::Evaluation> untrained;  // for the model card
  std::vector<uint32_t> threads;                    // CPU threads of each rank
  SampleLedger ledger;                              // of the epoch under way
};

// A note for an attempt with `now` threads per rank that continues from a checkpoint of an attempt with `before`: with another
// number of threads or ranks, sums are in another order. Empty if they are equal.
std::string RoundingNote(const std::vector<uint32_t>& before, const std::vector<uint32_t>& now);

// Digest of everything that decides the update: the specification without resources and checkpoints, and its resolved names.
std::string SpecDigest(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved);

// Digest of all parameters' names and bytes: equal on all ranks, or training has gone wrong. 64 bits (common/fast_digest.h): a
// single number that differs is always found.
std::string ParameterDigest(const std::vector<Parameter>& parameters);

// A copy of the parameters, on the CPU.
std::vector<Parameter> CopyParameters(const std::vector<Parameter>& parameters);
// Copies `values` into `parameters` by name. INVALID_ARGUMENT if one is absent or has another shape; nothing has
// changed then.
absl::Status AssignParameters(const std::vector<Parameter>& values, std::vector<Parameter>& parameters);

// A snapshot of the training state: Take copies it; WriteTo may run on another thread while training continues. Keeps
// its buffers on the host for the next copy: 12 bytes per parameter. Not thread-safe.
class CheckpointCopy {
 public:
  // Reserve allocates memory for the copies. Touch writes to it, so that the first Take causes no page faults; any thread may
  // call it, before that Take.
  void Reserve(const Encoder& encoder, const AdamW& optimizer);
  void Touch();
  // `best`: empty if there is none yet. Its tensors are referred to, not copied: nobody writes into them.
  void Take(const Encoder& encoder, const AdamW& optimizer, const TrainingCursor& cursor,
            const std::vector<Parameter>& best);
  // Writes into `folder`, which it creates.
  absl::Status WriteTo(const std::filesystem::path& folder) const;

 private:
  std::vector<Parameter> model_, optimizer_, best_;
  TrainingCursor cursor_;
};

struct RestoredCheckpoint {
  TrainingCursor cursor;
  std::vector<Parameter> best;
};
// The file of a checkpoint that holds the trained parameters, under the encoder's names.
inline constexpr char kCheckpointModelFile[] = "model.safetensors";
// The files that a checkpoint's manifest must name. Without one of them the checkpoint is damaged.
std::vector<std::string> RequiredCheckpointFiles();

// DATA_LOSS: the checkpoint is damaged. FAILED_PRECONDITION: it was written under another specification, or by a newer
// version. Anything else is a fault of this host. Encoder and optimizer are changed only by a success.
absl::StatusOr<RestoredCheckpoint> RestoreCheckpoint(const std::filesystem::path& folder,
                                                     const std::string& spec_digest, Encoder& encoder,
                                                     AdamW& optimizer);

}  // namespace muster
