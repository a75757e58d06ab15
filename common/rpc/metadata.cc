#include "common/rpc/metadata.h"

#include <algorithm>

namespace muster {

std::string MetadataOf(const grpc::ServerContextBase& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return "";
  return std::string(found->second.data(), found->second.size());
}

void AddNotes(const std::vector<std::string>& notes, grpc::ServerContextBase& context) {
  constexpr size_t kMostNotes = 8, kMostBytes = 500;
  for (size_t i = 0; i < std::min(notes.size(), kMostNotes); ++i) {
    context.AddTrailingMetadata(kNoteMetadata, notes[i].substr(0, kMostBytes));
  }
}

std::vector<std::string> NotesOf(const grpc::ClientContext& context) {
  std::vector<std::string> notes;
  const auto [first, last] = context.GetServerTrailingMetadata().equal_range(kNoteMetadata);
  for (auto note = first; note != last; ++note) notes.emplace_back(note->second.data(), note->second.size());
  return notes;
}

}  // namespace muster
