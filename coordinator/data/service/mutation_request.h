// Request ids of the data server's mutations. Answers are remembered for a day, across restarts.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/data/store/catalogue.h"

namespace muster {

inline constexpr absl::Duration kRequestLife = absl::Hours(24);

// A mutation as its caller asked for it.
struct MutationRequest {
  std::string caller;
  std::string id;    // empty: it is never answered from memory
  std::string what;  // human-readable, one line: "to delete dataset faq"
  std::string body;  // digest of the request's content; empty: `what` is the whole request

  // The record to store in the same write as the change. Nothing: the request has no id.
  std::optional<RememberedRequest> Answered(absl::Time now, std::string answer = "") const;
};

// Whether the id is remembered, for a caller that does not know the whole body yet. Errors as for FirstAnswer, if the known
// part of the body already differs.
absl::StatusOr<bool> WasAskedBefore(const Catalogue& catalogue, const MutationRequest& request);

// The answer to the first request with this id; nothing: there was none. ALREADY_EXISTS (REQUEST_ID_REUSED): it asked for
// something else. INVALID_ARGUMENT: the id is too long. Callers that change names must hold DataStores::names.
absl::StatusOr<std::optional<std::string>> FirstAnswer(Catalogue& catalogue, const MutationRequest& request, absl::Time now);

}  // namespace muster
