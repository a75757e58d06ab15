// Metadata of calls.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <string>
#include <string_view>
#include <vector>

namespace muster {

inline constexpr char kTokenMetadata[] = "authorization";
inline constexpr std::string_view kBearer = "Bearer ";
inline constexpr char kTicketMetadata[] = "muster-ticket-bin";
inline constexpr char kRequestIdMetadata[] = "x-request-id";
// GetCluster's answer carries this: "ROLE NAME" of the caller. Binary, because a name may be any UTF-8.
inline constexpr char kCallerMetadata[] = "muster-caller-bin";
// Sent with an answer, once per note: human-readable UTF-8 text about a call that succeeded, but perhaps not as intended.
inline constexpr char kNoteMetadata[] = "muster-note-bin";

// What the client sent; empty: nothing.
std::string MetadataOf(const grpc::ServerContextBase& context, const char* key);

// Sends notes with the answer. At most 8, each cut to 500 bytes, since metadata is limited to 8 KiB.
void AddNotes(const std::vector<std::string>& notes, grpc::ServerContextBase& context);
// The notes sent with an answer that has arrived, in order.
std::vector<std::string> NotesOf(const grpc::ClientContext& context);

}  // namespace muster
