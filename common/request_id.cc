#include "common/request_id.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {

constexpr size_t kMaxRequestId = 128;  // bytes

absl::Status CheckRequestId(const std::string& request_id) {
  if (request_id.size() <= kMaxRequestId) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("request_id: longer than ", kMaxRequestId, " bytes. Use a UUID."));
}

absl::Status RequestIdReused(const std::string& request_id, std::string_view by_what) {
  return WithReason(absl::AlreadyExistsError(absl::StrCat("request_id: \"", request_id, "\" was used ", ToAbsl(by_what),
                                                          ". Use a new one, or leave it out.")),
                    "REQUEST_ID_REUSED");
}

}  // namespace muster
