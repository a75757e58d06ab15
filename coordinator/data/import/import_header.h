// The settings of an import, which arrive before its files.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Describes valid names of datasets and splits (IsValidName), for messages.
inline constexpr absl::string_view kNameRule = "use 1 to 63 characters of [a-z0-9._-], the first a letter or digit.";

// INVALID_ARGUMENT names the field that is wrong and its allowed values.
absl::Status CheckImportHeader(const muster::v1::ImportHeader& header);

}  // namespace muster
