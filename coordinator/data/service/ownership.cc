#include "coordinator/data/service/ownership.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"

namespace muster {
namespace {

std::string By(absl::string_view verb, const std::string& owner, const google::protobuf::Timestamp& time) {
  return absl::StrCat(
      verb, owner.empty() ? " before owners were kept" : absl::StrCat(" by ", owner),
      absl::FormatTime(", at %Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()), absl::UTCTimeZone()));
}

absl::Status CheckOwnerOf(const Principal& caller, const std::string& what, const std::string& owner) {
  if (caller.role == Role::kOperator || (!owner.empty() && caller.name == owner)) return absl::OkStatus();
  const std::string whose = owner.empty() ? "was stored by a version without owners, so only operators may change it"
                                          : absl::StrCat("is of ", owner);
  return WithReason(absl::PermissionDeniedError(absl::StrCat(what, " ", whose, ", and you are ", caller.name, ". Ask ",
                                                             owner.empty() ? "" : "its owner or ",
                                                             "an operator, or use another name.")),
                    "NOT_OWNER");
}

template <typename Message>
absl::Status CheckReplaceOf(const Principal& caller, const Message& existing, bool replace, const std::string& what,
                            absl::string_view remedy, std::string_view reason) {
  if (replace) return CheckOwner(caller, existing);
  return WithReason(absl::AlreadyExistsError(absl::StrCat(what, " exists: ", Describe(existing), ". ", remedy)),
                    reason);
}

std::string WhatOf(const muster::v1::Dataset& dataset) { return absl::StrCat("dataset \"", dataset.name(), "\""); }
std::string WhatOf(const muster::v1::Model& model) { return absl::StrCat("model \"", model.name(), "\""); }

}  // namespace

absl::Status CheckOwner(const Principal& caller, const muster::v1::Dataset& dataset) {
  return CheckOwnerOf(caller, WhatOf(dataset), dataset.owner());
}
absl::Status CheckOwner(const Principal& caller, const muster::v1::Model& model) {
  return CheckOwnerOf(caller, WhatOf(model), model.owner());
}

absl::Status CheckReplace(const Principal& caller, const muster::v1::Dataset& existing, bool replace) {
  return CheckReplaceOf(
      caller, existing, replace, WhatOf(existing),
      "Import under another name, or with --replace: that replaces the splits that the files bring and "
      "keeps the others.",
      "DATASET_EXISTS");
}
absl::Status CheckReplace(const Principal& caller, const muster::v1::Model& existing, bool replace) {
  return CheckReplaceOf(caller, existing, replace, WhatOf(existing), "Push under another name, or with --replace.",
                        "MODEL_EXISTS");
}

std::string Describe(const muster::v1::Dataset& dataset) {
  std::vector<std::string> splits;
  for (const auto& split : dataset.splits()) {
    splits.push_back(absl::StrCat(split.name(), " (", split.queries(), split.queries() == 1 ? " query)" : " queries)"));
  }
  return absl::StrCat(splits.size() == 1 ? "split " : "splits ", absl::StrJoin(splits, ", "), "; ",
                      By("imported", dataset.owner(), dataset.imported()));
}
std::string Describe(const muster::v1::Model& model) {
  const std::string what = model.architecture().empty() ? absl::StrCat("a vocabulary of ", model.vocabulary_size())
                                                        : absl::StrCat(model.architecture(), ", ", model.layers(),
                                                                       " layers, hidden size ", model.hidden_size());
  return absl::StrCat(what, "; ", By("pushed", model.owner(), model.pushed()));
}

std::string OwnerAfter(const Principal& caller, const std::string& before) {
  return before.empty() ? caller.name : before;
}

}  // namespace muster
