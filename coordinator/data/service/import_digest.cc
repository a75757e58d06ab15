#include "coordinator/data/service/import_digest.h"

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"

namespace muster {

std::string HeaderDigest(const muster::v1::ImportHeader& header) {
  muster::v1::ImportHeader asked = header;
  asked.clear_request_id();
  return Sha256Hex(DeterministicBytes(asked));
}

void FilesDigest::BeginFile(const muster::v1::ImportFile& file) {
  EndFile();
  in_file_ = true;
  file_.emplace();
  blob_ = file.blob();
  all_.Update(absl::StrCat(file.path().size(), " ", file.path(), " ", file.split().size(), " ", file.split(), " "));
}

void FilesDigest::Chunk(std::string_view bytes) {
  if (in_file_ && blob_.empty()) file_->Update(bytes);
}

void FilesDigest::EndFile() {
  if (!in_file_) return;
  in_file_ = false;
  all_.Update(blob_.empty() ? file_->FinishHex() : blob_);
}

std::string FilesDigest::Finish() {
  EndFile();
  return all_.FinishHex();
}

}  // namespace muster
