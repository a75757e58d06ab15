// The digest of an import's request: another import with the same request id is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "muster/v1/data.pb.h"

namespace muster {

// The header's digest. Its request id does not count.
std::string HeaderDigest(const muster::v1::ImportHeader& header);

// Adds the files in the order in which they arrive. A file sent as a stored blob counts like its bytes.
class FilesDigest {
 public:
  void BeginFile(const muster::v1::ImportFile& file);
  void Chunk(std::string_view bytes);
  std::string Finish();

 private:
  void EndFile();
  Sha256 all_;
  std::optional<Sha256> file_;
  std::string blob_;   // the current file's; empty: its bytes arrive in chunks
  bool in_file_ = false;
};

}  // namespace muster
