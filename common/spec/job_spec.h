// Rules of a job specification that need no server: defaults, ranges, and which fields exclude each other.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Fills in the defaults of the specification's profile, and then every default that job.proto names (all optional scalars are
// set afterwards, except those whose absence has a meaning: positives.min_grade, model.normalize and model.dropout of a pushed
// model). batch.micro_batch_tokens and batch.keep_activations depend on resources.device: call it again once "auto" was
// decided. `ignore_identical_ids` stays absent if false, and report.run_depth if 0, because ranks of older versions cannot read
// them. Idempotent.
void FillDefaults(muster::v1::JobSpec& spec);

// The part of FillDefaults that concerns enumerations: those whose default does not depend on the model or the profile
// get it in place of *_UNSPECIFIED. In old stored specifications 0 meant the default.
void FillEnumerations(muster::v1::JobSpec& spec);

// INVALID_ARGUMENT with "field.path: what is wrong. What to do." for the first broken rule. Call after FillDefaults.
absl::Status ValidateJobSpec(const muster::v1::JobSpec& spec);

// INVALID_ARGUMENT unless the largest of loss.matryoshka_dimensions is the model's embedding size: whole embeddings are
// evaluated and exported, so they must be trained. OK if the size is 0, which means unknown.
absl::Status CheckMatryoshka(const muster::v1::LossSpec& loss, uint32_t embedding_size);

// The lowest Hello.protocol of an agent whose ranks honor everything in the specification, with its resolved model: 0
// for most specifications.
uint32_t NeededProtocol(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved);

// A job that trains nothing: duration.steps is 0.
bool EvaluatesOnly(const muster::v1::JobSpec& spec);
// A job that mines hard negatives: it has `mine`.
bool MinesOnly(const muster::v1::JobSpec& spec);
// A job that neither trains, evaluates nor mines: it stores a checkpoint of another job as a model.
bool ExportsOnly(const muster::v1::JobSpec& spec);

}  // namespace muster
