#include "tests/fuzz/any_call.h"

#include <google/protobuf/dynamic_message.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "common/rpc/metadata.h"
#include "common/view.h"
#include "tests/fuzz/check.h"

namespace muster {
namespace {

using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

constexpr int kMaxResponses = 32;
constexpr std::chrono::milliseconds kMayWait{20}, kAnswersWithin{10000};

std::unique_ptr<Message> NewMessage(const google::protobuf::Descriptor* type) {
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

bool Parses(const google::protobuf::Descriptor* type, const std::string& bytes) {
  return NewMessage(type)->ParseFromString(bytes);
}

bool MayWait(const MethodDescriptor& method) {
  return method.server_streaming() || method.client_streaming() || method.name() == "Rendezvous";
}

// A sequential call on a separate queue.
class Call {
 public:
  Call(const std::shared_ptr<grpc::Channel>& channel, const AnyCall& call) : stub_(channel) {
    const MethodDescriptor& method = *call.method;
    for (const auto& [key, value] : call.metadata) context_.AddMetadata(key, value);
    context_.set_deadline(std::chrono::system_clock::now() + (MayWait(method) ? kMayWait : kAnswersWithin));
    call_ = stub_.PrepareCall(&context_, absl::StrCat("/", method.service()->full_name(), "/", method.name()), &queue_);
    call_->StartCall(this);
    Wait();
  }
  ~Call() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  bool Write(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    call_->Write(grpc::ByteBuffer(&slice, 1), this);
    return Wait();
  }
  void WritesDone() {
    call_->WritesDone(this);
    Wait();
  }
  bool Read(std::string& bytes) {
    grpc::ByteBuffer buffer;
    call_->Read(&buffer, this);
    if (!Wait()) return false;
    grpc::Slice slice;
    if (!buffer.DumpToSingleSlice(&slice).ok()) return false;
    bytes.assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return true;
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() {
    grpc::Status status;
    call_->Finish(&status, this);
    Wait();
    return status;
  }

 private:
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    FUZZ_CHECK(queue_.Next(&tag, &ok), "the queue ended");
    return ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

std::pair<std::string, std::string> DrawMetadata(const KnownStrings& known, ByteSource& source) {
  const char* const keys[] = {kTokenMetadata, kTicketMetadata, kRequestIdMetadata};
  const std::string key = keys[source.Below(std::size(keys))];
  std::string value = source.Coin() ? known[source.Below(known.size())] : source.ShortBytes();
  if (key != kTicketMetadata) {
    // Other metadata is text; the client library sends nothing else.
    for (char& c : value) c = c >= ' ' && c <= '~' ? c : '?';
  }
  if (key == kTokenMetadata && source.Coin()) value = absl::StrCat(ToAbsl(kBearer), value);
  return {key, value};
}

void CheckStatus(const AnyCall& call, const grpc::Status& status, bool cancelled) {
  bool known = true;
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::DATA_LOSS: break;
    case grpc::StatusCode::CANCELLED: known = cancelled; break;
    case grpc::StatusCode::DEADLINE_EXCEEDED: known = MayWait(*call.method); break;
    case grpc::StatusCode::INTERNAL: known = !call.well_formed; break;  // gRPC's own message for bytes that do not parse
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::DO_NOT_USE: known = false;
  }
  FUZZ_CHECK(known, absl::StrCat(call.method->full_name(), ": ", status.error_code(), " ", status.error_message()));
  FUZZ_CHECK(status.ok() || !call.well_formed || !status.error_message().empty(),
             absl::StrCat(call.method->full_name(), ": an error without words"));
}

}  // namespace

std::vector<const MethodDescriptor*> MethodsOf(const std::vector<std::string>& services) {
  std::vector<const MethodDescriptor*> methods;
  for (const std::string& name : services) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName("muster." + name);
    FUZZ_CHECK(service != nullptr, name);
    for (int i = 0; i < service->method_count(); ++i) methods.push_back(service->method(i));
  }
  return methods;
}

AnyCall DrawCall(const std::vector<const MethodDescriptor*>& methods, const KnownStrings& known, ByteSource& source) {
  AnyCall call;
  call.method = methods[source.Below(methods.size())];
  const size_t count = call.method->client_streaming() ? source.Below(8) : 1;
  for (size_t i = 0; i < count; ++i) {
    if (source.Below(16) == 0) {
      call.requests.push_back(source.ShortBytes());
    } else {
      const std::unique_ptr<Message> request = NewMessage(call.method->input_type());
      FillMessage(source, known, *request);
      call.requests.push_back(request->SerializeAsString());
    }
    call.well_formed = call.well_formed && Parses(call.method->input_type(), call.requests.back());
  }
  for (size_t count = source.Below(4); count > 0; --count) call.metadata.push_back(DrawMetadata(known, source));
  return call;
}

std::vector<std::string> MakeAnyCall(const std::shared_ptr<grpc::Channel>& channel, const AnyCall& call) {
  Call running(channel, call);
  bool open = true;
  for (const std::string& request : call.requests) open = open && running.Write(request);
  running.WritesDone();
  std::vector<std::string> responses;
  std::string bytes;
  while (responses.size() < kMaxResponses && running.Read(bytes)) {
    FUZZ_CHECK(Parses(call.method->output_type(), bytes), call.method->full_name() + ": a response that does not parse");
    responses.push_back(bytes);
  }
  const bool cancel = responses.size() == kMaxResponses;
  if (cancel) running.Cancel();
  CheckStatus(call, running.Finish(), cancel);
  return responses;
}

}  // namespace muster
