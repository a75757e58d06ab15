// Calls any RPC of any service by its descriptor, with any bytes as requests.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/random_message.h"

namespace muster {

// Every method of the named services, in the order of their files: a new RPC is fuzzed as soon as it exists.
std::vector<const google::protobuf::MethodDescriptor*> MethodsOf(const std::vector<std::string>& services);

struct AnyCall {
  const google::protobuf::MethodDescriptor* method = nullptr;
  std::vector<std::string> requests;  // one, unless the client streams
  bool well_formed = true;            // all of them are messages of the method's request type
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Draws a method, its requests (filled by their descriptor, or any bytes), and sometimes metadata: tokens, tickets,
// request ids.
AnyCall DrawCall(const std::vector<const google::protobuf::MethodDescriptor*>& methods, const KnownStrings& known,
                 ByteSource& source);

// Makes the call, and ends it after 32 responses or, if it may rightly wait (streams, rendezvous), after 20 ms. Laws:
// the server answers within 10 s, with a status that docs/reference/errors.md lists and responses that are messages of
// their type. Returns the responses' bytes.
std::vector<std::string> MakeAnyCall(const std::shared_ptr<grpc::Channel>& channel, const AnyCall& call);

}  // namespace muster
