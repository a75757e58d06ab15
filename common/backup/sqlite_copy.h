// A consistent copy of an SQLite database that others read and write meanwhile.
#pragma once

#include <filesystem>

#include "absl/status/status.h"

namespace muster {

// `target` must not be there; it becomes one plain file, checked (PRAGMA quick_check). The copy is the state of one
// moment between begin and end of the call: with the source in WAL mode it neither waits for writers nor holds them up.
absl::Status CopySqlite(const std::filesystem::path& source, const std::filesystem::path& target);

}  // namespace muster
