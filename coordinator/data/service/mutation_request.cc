#include "coordinator/data/service/mutation_request.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/request_id.h"
#include "common/status.h"

namespace muster {
namespace {

std::string KeyOf(const MutationRequest& request) { return absl::StrCat(request.caller, "\n", request.id); }

absl::Status Other(const RememberedRequest& known, const MutationRequest& request) {
  return RequestIdReused(request.id, absl::StrCat(known.what, ", with other options or files"));
}

}  // namespace

std::optional<RememberedRequest> MutationRequest::Answered(absl::Time now, std::string answer) const {
  if (id.empty()) return std::nullopt;
  return RememberedRequest{KeyOf(*this), what, body, now, std::move(answer)};
}

absl::StatusOr<bool> WasAskedBefore(const Catalogue& catalogue, const MutationRequest& request) {
  RETURN_IF_ERROR(CheckRequestId(request.id));
  if (request.id.empty()) return false;
  ASSIGN_OR_RETURN(const std::optional<RememberedRequest> known, catalogue.FindRequest(KeyOf(request)));
  if (!known.has_value()) return false;
  if (known->what != request.what) return RequestIdReused(request.id, known->what);
  if (!known->body.starts_with(request.body)) return Other(*known, request);
  return true;
}

absl::StatusOr<std::optional<std::string>> FirstAnswer(Catalogue& catalogue, const MutationRequest& request, absl::Time now) {
  RETURN_IF_ERROR(CheckRequestId(request.id));
  if (request.id.empty()) return std::nullopt;
  RETURN_IF_ERROR(catalogue.ForgetRequestsBefore(now - kRequestLife));
  ASSIGN_OR_RETURN(std::optional<RememberedRequest> known, catalogue.FindRequest(KeyOf(request)));
  if (!known.has_value()) return std::nullopt;
  if (known->what != request.what) return RequestIdReused(request.id, known->what);
  if (known->body != request.body) return Other(*known, request);
  return std::move(known->answer);
}

}  // namespace muster
