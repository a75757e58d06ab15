// A consistent copy of an SQLite database while others read and write it.
#pragma once

#include <filesystem>

#include "absl/status/status.h"

namespace muster {

// `target` must not exist; it becomes one plain file, checked (PRAGMA quick_check). The copy is the database's state at
// one moment during the call. With the source in WAL mode it neither waits for writers nor blocks them.
absl::Status CopySqlite(const std::filesystem::path& source, const std::filesystem::path& target);

}  // namespace muster
