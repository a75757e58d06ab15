// Decides who may change what a name points to: its owner and operators, and only with an explicit flag.
//
// Code that gives, replaces or removes a name holds DataStores::names from reading the name until changing it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/rpc/principal.h"
#include "muster/v1/data.pb.h"
#include "muster/v1/model.pb.h"

namespace muster {

// PERMISSION_DENIED (NOT_OWNER) names the owner. Content stored before owners were recorded has none; only operators
// may change it.
absl::Status CheckOwner(const Principal& caller, const muster::v1::Dataset& dataset);
absl::Status CheckOwner(const Principal& caller, const muster::v1::Model& model);

// For an import or push over an existing name. ALREADY_EXISTS (DATASET_EXISTS, MODEL_EXISTS) without `replace`: the message
// describes the existing content and what to do. With it: as CheckOwner.
absl::Status CheckReplace(const Principal& caller, const muster::v1::Dataset& existing, bool replace);
absl::Status CheckReplace(const Principal& caller, const muster::v1::Model& existing, bool replace);

// "splits test (10 queries), train (20 queries); imported by ana at 2026-11-28T14:02:11Z"
std::string Describe(const muster::v1::Dataset& dataset);
std::string Describe(const muster::v1::Model& model);

// The owner after an import or push: the first one stays, also where an operator replaces the content.
std::string OwnerAfter(const Principal& caller, const std::string& before);

}  // namespace muster
