// The distillation loss over the (query, passage) pairs that a teacher scored. There are few of them, one list per query, so
// this is a sparse pass in addition to the streaming loss: it computes the pairs' dot products, the lists' losses on the host
// (teacher_list.h), and adds gradients pair by pair.
#pragma once

#include "worker/rank/loss/streaming_loss.h"

namespace muster {

// Adds factor * teacher.weight / R * (sum over valid rows of row weight * the list's loss), and its gradients, to `result`.
// `result` must be EvaluateLoss's of the same input, without numbers that are not finite. Adds nothing without input.teacher.
// Memory: a bounded block of embeddings. With a GPU, the host waits three more times for the device.
void AddDistillation(const LossInput& input, const TileOps& ops, LossResult& result);

}  // namespace muster
