// Every RPC of the data server, over a real connection. The laws are those of any_call.h.
#include "tests/fuzz/any_call.h"
#include "tests/fuzz/rpc_server.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static muster::FuzzServers servers(/*coordinator=*/false);
  static const auto methods =
      muster::MethodsOf({"v1.DataService", "v1.BlobService", "v1.ModelService", "internal.v1.DataPlaneService"});
  servers.Prepare();
  muster::ByteSource source(data, size);
  for (int i = 0; i < 6 && !source.empty(); ++i) {
    muster::MakeAnyCall(servers.data(), muster::DrawCall(methods, servers.known(), source));
  }
  return 0;
}
