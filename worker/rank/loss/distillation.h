// Distillation over the pairs of a query and a passage that a teacher scored. There are few of them (a list per query), so
// this is a sparse pass in addition to the streaming one: dot products of the pairs, the lists' losses on the host
// (teacher_list.h), and gradients that are added pair by pair.
#pragma once

#include "worker/rank/loss/streaming_loss.h"

namespace muster {

// Adds factor * teacher.weight * (1 / R) * sum over valid rows of row weight * the list's loss, and its gradients, to
// `result`, which EvaluateLoss has made of the same input without finding a number that is not finite. Nothing is added
// without input.teacher. Memory: some rows of embeddings at a time. A device's host waits three times more.
void AddDistillation(const LossInput& input, const TileOps& ops, LossResult& result);

}  // namespace muster
