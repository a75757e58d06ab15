// What travels beside a call's message.
#pragma once

#include <grpcpp/server_context.h>

#include <string>
#include <string_view>

namespace muster {

inline constexpr char kTokenMetadata[] = "authorization";
inline constexpr std::string_view kBearer = "Bearer ";
inline constexpr char kTicketMetadata[] = "muster-ticket-bin";
inline constexpr char kRequestIdMetadata[] = "x-request-id";
// What GetCluster answers beside its message: "ROLE NAME" of the caller. Binary, since a name may be any UTF-8.
inline constexpr char kCallerMetadata[] = "muster-caller-bin";

// What the client sent; empty: nothing.
std::string MetadataOf(const grpc::ServerContext& context, const char* key);

}  // namespace muster
