// What an import was asked for, as a digest: with the same request id another one is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "muster/v1/data.pb.h"

namespace muster {

// The header's digest. Its request id does not count.
std::string HeaderDigest(const muster::v1::ImportHeader& header);

// Over the files in the order in which they come. A file that comes as a stored blob counts as its bytes do.
class FilesDigest {
 public:
  void BeginFile(const muster::v1::ImportFile& file);
  void Chunk(std::string_view bytes);
  std::string Finish();

 private:
  void EndFile();
  Sha256 all_;
  std::optional<Sha256> file_;
  std::string blob_;   // of the current file; empty: its bytes come in chunks
  bool in_file_ = false;
};

}  // namespace muster
