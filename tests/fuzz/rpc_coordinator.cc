// Every RPC of the coordinator, over a real connection, with a real data server; sometimes a valid submission, so that
// there are jobs. The laws are those of any_call.h.
#include "absl/strings/str_cat.h"
#include "muster/v1/job.grpc.pb.h"
#include "tests/fuzz/any_call.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/rpc_server.h"

namespace muster {
namespace {

void SubmitRight(FuzzServers& servers, ByteSource& source) {
  muster::v1::SubmitJobRequest request;
  muster::v1::JobSpec& spec = *request.mutable_spec();
  spec.set_name("n");
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_model()->set_tokenizer("v");
  spec.mutable_data()->set_train("d");
  const uint32_t steps = 1 + source.Below(8), slots = 1 + source.Below(3);
  spec.mutable_duration()->set_steps(steps);
  spec.mutable_resources()->mutable_slots()->set_min(slots);
  if (source.Coin()) request.set_request_id(absl::StrCat("r", steps, "-", slots));  // an id for each specification
  grpc::ClientContext context;
  muster::v1::SubmitJobResponse response;
  const grpc::Status status =
      muster::v1::JobService::NewStub(servers.coordinator())->SubmitJob(&context, request, &response);
  FUZZ_CHECK(status.ok(), status.error_message());
  servers.known().back() = response.job().id();  // the newest job's id
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static muster::FuzzServers servers(/*coordinator=*/true);
  static const auto methods = muster::MethodsOf({"v1.JobService", "v1.ClusterService", "internal.v1.WorkerService"});
  servers.Prepare();
  muster::ByteSource source(data, size);
  for (int i = 0; i < 6 && !source.empty(); ++i) {
    if (source.Below(8) == 0) {
      muster::SubmitRight(servers, source);
    } else {
      muster::MakeAnyCall(servers.coordinator(), muster::DrawCall(methods, servers.known(), source));
    }
  }
  return 0;
}
