// muster-stream-bench: at what rate a data server streams shares of steps to ranks, per core, over mTLS on loopback; or,
// with --evaluation, how long all ranks of an evaluation wait, and the memory that the server takes for them. The
// server is this process, its clients are a child process, so each one's processor time is counted separately.
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/random.h"
#include "common/rpc/access/ticket.h"
#include "common/rpc/blobs.h"
#include "common/rpc/certificate_folder.h"
#include "common/rpc/certificates.h"
#include "common/rpc/errors.h"
#include "common/rpc/security.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "common/version.h"
#include "coordinator/data/service/data_server.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "muster/v1/data.grpc.pb.h"
#include "muster/v1/model.grpc.pb.h"
#include "tests/bench/process_memory.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

struct Options {
  uint32_t ranks = 4, queries = 512, steps = 64, positives = 8, passages = 50'000, words = 200;
  fs::path folder = fs::temp_directory_path();
  bool evaluation = false;
  bool former_ranks = false;  // ranks up to protocol 7
  int client = 0;  // in a child: the server's port
  int server = 0;  // in a child: the server's process
  std::string json;
};

double CpuSeconds(int who) {
  rusage usage = {};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> ChannelAs(const Options& options, const std::string& role, int port,
                                                         const std::string& ticket = "") {
  SecurityOptions security{.certificates = options.folder / role};
  security.ticket = ticket;
  return MakeChannel(absl::StrCat("127.0.0.1:", port), security);
}

std::string Words(CounterRandom& random, uint64_t count) {
  std::string text;
  for (uint64_t i = 0; i < count; ++i) absl::StrAppend(&text, i == 0 ? "w" : " w", random.Below(1000));
  return text;
}

// Passages of `words` / 2 to `words` * 3 / 2 words of one token each.
absl::Status ImportSet(const Options& options, int port) {
  ASSIGN_OR_RETURN(const auto channel, ChannelAs(options, "operator", port));
  grpc::ClientContext call;
  const auto stream = muster::v1::DataService::NewStub(channel)->ImportDataset(&call);
  muster::v1::ImportDatasetRequest request;
  request.mutable_header()->set_name("set");
  stream->Write(request);
  CounterRandom random(17);
  const auto send = [&](const char* path, uint32_t count, const auto& line) {
    request.mutable_file()->set_path(path);
    stream->Write(request);
    std::string chunk;
    for (uint32_t i = 0; i < count; ++i) {
      line(i, chunk);
      if (chunk.size() < 1 << 19 && i + 1 < count) continue;
      request.set_chunk(chunk);
      stream->Write(request);
      chunk.clear();
    }
  };
  send("corpus.jsonl", options.passages, [&](uint32_t i, std::string& out) {
    const std::string text = Words(random, options.words / 2 + random.Below(options.words + 1));
    absl::StrAppend(&out, R"({"_id": "d)", i, R"(", "title": "", "text": ")", text, "\"}\n");
  });
  const uint32_t queries = 4 * options.queries;
  send("queries.jsonl", queries, [&](uint32_t i, std::string& out) {
    absl::StrAppend(&out, R"({"_id": "q)", i, R"(", "text": ")", Words(random, 4 + random.Below(20)), "\"}\n");
  });
  send("qrels/train.tsv", queries, [&](uint32_t i, std::string& out) {
    if (i == 0) out = "query-id\tcorpus-id\tscore\n";
    for (uint32_t n = 0; n < options.positives; ++n) absl::StrAppend(&out, "q", i, "\td", random.Below(options.passages), "\t1\n");
  });
  stream->WritesDone();
  muster::v1::ImportDatasetResponse response;
  while (stream->Read(&response)) continue;
  return FromGrpc(stream->Finish());
}

absl::Status PushVocabulary(const Options& options, int port) {
  ASSIGN_OR_RETURN(const auto channel, ChannelAs(options, "operator", port));
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&vocabulary, "w", i, "\n");
  RETURN_IF_ERROR(MakeFolders(options.folder / "push"));
  RETURN_IF_ERROR(WriteFileAtomically(options.folder / "push/vocab.txt", vocabulary));
  muster::v1::PushModelRequest request;
  request.set_name("vocab");
  BlobClient blobs(channel);
  ASSIGN_OR_RETURN(*request.mutable_files(), blobs.PutFolder(options.folder / "push"));
  grpc::ClientContext call;
  muster::v1::PushModelResponse response;
  return FromGrpc(muster::v1::ModelService::NewStub(channel)->PushModel(&call, request, &response));
}

absl::StatusOr<muster::internal::v1::StreamRequest> Resolve(const Options& options, int port) {
  muster::internal::v1::ResolveRequest request;
  muster::v1::JobSpec& spec = *request.mutable_spec();
  spec.set_name("bench");
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_model()->set_tokenizer("vocab");
  spec.mutable_data()->set_train("set");
  spec.mutable_data()->mutable_positives()->set_per_query(options.positives);
  spec.mutable_batch()->set_queries(options.queries);
  spec.mutable_duration()->set_steps(options.steps);
  spec.mutable_evaluate()->set_dataset("set");
  spec.mutable_evaluate()->set_split("train");
  spec.mutable_resources()->set_device(muster::v1::DEVICE_GPU);  // selects the default of micro_batch_tokens
  FillDefaults(spec);
  ASSIGN_OR_RETURN(const auto channel, ChannelAs(options, "coordinator", port));
  grpc::ClientContext call;
  muster::internal::v1::ResolveResponse response;
  RETURN_IF_ERROR(
      FromGrpc(muster::internal::v1::DataPlaneService::NewStub(channel)->Resolve(&call, request, &response)));
  muster::internal::v1::StreamRequest stream;
  stream.mutable_identity()->set_job_id("job-1");
  stream.mutable_identity()->set_attempt(1);
  stream.mutable_identity()->set_world_size(options.ranks);
  *stream.mutable_spec() = spec;
  *stream.mutable_resolved() = response.resolved();
  return stream;
}

absl::StatusOr<std::string> TicketOf(const Options& options, const muster::internal::v1::StreamRequest& request) {
  muster::internal::v1::Assignment assignment;
  assignment.set_job_id(request.identity().job_id());
  assignment.set_attempt(request.identity().attempt());
  assignment.set_world_size(options.ranks);
  for (uint32_t rank = 0; rank < options.ranks; ++rank) assignment.add_ranks()->set_rank(rank);
  *assignment.mutable_resolved() = request.resolved();
  ASSIGN_OR_RETURN(const auto signer, ReadCertificateFolder(options.folder / "coordinator"));
  return SignTicket(TicketFor(assignment, "worker", RealClock().Now()), signer);
}

// Processor time of another process so far.
double CpuSecondsOf(int process) {
  clockid_t clock;
  timespec time = {};
  if (clock_getcpuclockid(process, &clock) == 0) clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Received {
  uint64_t bytes = 0;
  absl::Duration until_first;  // message
  double server_cpu = 0;       // at that time
  absl::Status status;
};

template <typename Message>
absl::Status ReadStream(const Options& options, grpc::ClientReader<Message>& stream, absl::Duration start,
                        Received& received) {
  for (Message message; stream.Read(&message);) {
    if (received.bytes == 0) {
      received.until_first = RealClock().Monotonic() - start;
      received.server_cpu = CpuSecondsOf(options.server);
    }
    received.bytes += message.ByteSizeLong();
  }
  return FromGrpc(stream.Finish());
}

absl::Status ReadEvaluation(const Options& options, muster::internal::v1::DataPlaneService::Stub& stub,
                            const muster::internal::v1::StreamRequest& own, absl::Duration start, Received& received) {
  muster::internal::v1::StreamEvaluationRequest request;
  *request.mutable_identity() = own.identity();
  *request.mutable_spec() = own.spec();
  *request.mutable_resolved() = own.resolved();
  request.set_dataset(own.resolved().evaluate_dataset());
  request.set_split(own.spec().evaluate().split());
  grpc::ClientContext call;
  return ReadStream(options, *stub.StreamEvaluation(&call, request), start, received);
}

absl::Status ReadSteps(const Options& options, muster::internal::v1::DataPlaneService::Stub& stub,
                       const muster::internal::v1::StreamRequest& own, absl::Duration start, Received& received) {
  grpc::ClientContext call;
  return ReadStream(options, *stub.Stream(&call, own), start, received);
}

// All ranks' streams at once, each on its own connection. Bytes of all, and the longest wait of one.
absl::StatusOr<Received> ReadAll(const Options& options, const muster::internal::v1::StreamRequest& request, int port) {
  ASSIGN_OR_RETURN(const std::string ticket, TicketOf(options, request));
  std::vector<Received> received(options.ranks);
  std::vector<std::thread> readers;
  const absl::Duration start = RealClock().Monotonic();
  for (uint32_t rank = 0; rank < options.ranks; ++rank) {
    readers.emplace_back([&, rank] {
      const auto channel = ChannelAs(options, "worker", port, ticket);
      if (!channel.ok()) {
        received[rank].status = channel.status();
        return;
      }
      const auto stub = muster::internal::v1::DataPlaneService::NewStub(*channel);
      muster::internal::v1::StreamRequest own = request;
      own.mutable_identity()->set_rank(rank);
      own.mutable_identity()->set_protocol(options.former_ranks ? 0 : kProtocol);
      received[rank].status = options.evaluation ? ReadEvaluation(options, *stub, own, start, received[rank])
                                                 : ReadSteps(options, *stub, own, start, received[rank]);
    });
  }
  for (std::thread& reader : readers) reader.join();
  Received all;
  for (const Received& one : received) {
    RETURN_IF_ERROR(one.status);
    all.bytes += one.bytes;
    all.until_first = std::max(all.until_first, one.until_first);
    all.server_cpu = std::max(all.server_cpu, one.server_cpu);
  }
  return all;
}

// The child: streams everything once, and prints bytes, seconds, its processor time, the longest wait, and the server's
// processor time at its end.
absl::Status RunClient(const Options& options) {
  muster::internal::v1::StreamRequest request;
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(options.folder / "request"));
  if (!request.ParseFromString(bytes)) return absl::InternalError("the request cannot be read");
  const double cpu = CpuSeconds(RUSAGE_SELF), server_cpu = CpuSecondsOf(options.server);
  const absl::Duration start = RealClock().Monotonic();
  ASSIGN_OR_RETURN(const Received all, ReadAll(options, request, options.client));
  std::printf("%lu %f %f %f %f\n", all.bytes, absl::ToDoubleSeconds(RealClock().Monotonic() - start),
              CpuSeconds(RUSAGE_SELF) - cpu, absl::ToDoubleSeconds(all.until_first), all.server_cpu - server_cpu);
  return absl::OkStatus();
}

struct Rate {
  double megabytes = 0, seconds = 0, server_cpu = 0, client_cpu = 0, until_first = 0, server_cpu_until_first = 0;
};

absl::StatusOr<Rate> RunChild(const Options& options, int port) {
  const std::string command =
      absl::StrCat(fs::read_symlink("/proc/self/exe").string(), " --client ", port, " --server ", getpid(), " --folder ",
                   options.folder.string(), " --ranks ", options.ranks, options.evaluation ? " --evaluation" : "",
                   options.former_ranks ? " --former-ranks" : "");
  const double cpu = CpuSeconds(RUSAGE_SELF);
  FILE* child = popen(command.c_str(), "r");
  uint64_t bytes = 0;
  Rate rate;
  if (child == nullptr || std::fscanf(child, "%lu %lf %lf %lf %lf", &bytes, &rate.seconds, &rate.client_cpu, &rate.until_first,
                  &rate.server_cpu_until_first) != 5 ||
      pclose(child) != 0) {
    return absl::InternalError(absl::StrCat(command, " failed"));
  }
  rate.server_cpu = CpuSeconds(RUSAGE_SELF) - cpu;
  rate.megabytes = static_cast<double>(bytes) / 1e6;
  return rate;
}

absl::Status RunServer(Options options) {
  spdlog::set_level(spdlog::level::warn);
  ASSIGN_OR_RETURN(options.folder, MakeScratchFolder(options.folder, "stream-bench"));
  RETURN_IF_ERROR(MakeAuthority(options.folder / "authority"));
  for (const Role role : {Role::kData, Role::kOperator, Role::kWorker, Role::kCoordinator}) {
    const std::string name(RoleName(role));
    RETURN_IF_ERROR(IssueCertificate(options.folder / "authority", {.role = role, .name = name}, options.folder / name));
  }
  DataServer::Options server_options;
  server_options.listen = "127.0.0.1:0";
  server_options.metrics = "";
  server_options.state = options.folder / "state";
  server_options.security.certificates = options.folder / "data";
  server_options.limits.calls_per_second = 0;
  ASSIGN_OR_RETURN(auto server, DataServer::Start(server_options));
  RETURN_IF_ERROR(ImportSet(options, server->port()));
  RETURN_IF_ERROR(PushVocabulary(options, server->port()));
  absl::Duration resolved[2];  // times of the first submission, and of an equal second one
  muster::internal::v1::StreamRequest request;
  for (absl::Duration& took : resolved) {
    const absl::Duration start = RealClock().Monotonic();
    ASSIGN_OR_RETURN(request, Resolve(options, server->port()));
    took = RealClock().Monotonic() - start;
  }
  std::printf("names resolved in %.1f ms, then in %.1f ms\n", absl::ToDoubleMilliseconds(resolved[0]),
              absl::ToDoubleMilliseconds(resolved[1]));
  RETURN_IF_ERROR(WriteFileAtomically(options.folder / "request", request.SerializeAsString()));
  // The first run makes the tokens, the dataset's index and the plans; the second measures a warm server.
  RETURN_IF_ERROR(RunChild(options, server->port()).status());
  if (options.evaluation) {  // a server with tokens that has seen no evaluation
    server.reset();
    ASSIGN_OR_RETURN(server, DataServer::Start(server_options));
    BeginPeak();
  }
  ASSIGN_OR_RETURN(const Rate rate, RunChild(options, server->port()));
  if (options.evaluation) {
    std::printf("evaluation of %u documents by %u ranks, about %u tokens each, over mTLS\n", options.passages,
                options.ranks, options.words);
    std::printf("%.2f s until all ranks have their header, %.2f s until all have everything, %.1f MB\n"
                "processor time: server %.2f s, %.2f s of it until the headers; clients %.2f s\n"
                "server: peak %.0f MiB, %.0f MiB of it files\n",
                rate.until_first, rate.seconds, rate.megabytes, rate.server_cpu, rate.server_cpu_until_first,
                rate.client_cpu, StatusMib("VmHWM"), StatusMib("RssFile"));
  } else {
    std::printf("%u ranks, %u steps of %u queries with %u passages, about %u tokens each, over mTLS\n", options.ranks,
                options.steps, options.queries, options.positives, options.words);
    std::printf("%.1f MB in %.2f s; server %.0f MB/s per core, clients %.0f MB/s per core; %.1f KB per share\n",
                rate.megabytes, rate.seconds, rate.megabytes / rate.server_cpu, rate.megabytes / rate.client_cpu,
                1e3 * rate.megabytes / options.ranks / options.steps);
  }
  if (!options.json.empty()) {
    std::ofstream(options.json) << nlohmann::json{{"megabytes", rate.megabytes},
                                                  {"seconds", rate.seconds},
                                                  {"server_cpu_seconds", rate.server_cpu},
                                                  {"client_cpu_seconds", rate.client_cpu},
                                                  {"server_mb_per_core_second", rate.megabytes / rate.server_cpu},
                                                  {"client_mb_per_core_second", rate.megabytes / rate.client_cpu}}
                                       .dump(2)
                                << "\n";
  }
  fs::remove_all(options.folder);
  return absl::OkStatus();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Options options;
  CLI::App app("At what rate a data server streams shares of steps, per core, over mTLS.", "muster-stream-bench");
  app.add_option("--ranks", options.ranks, "streams at once")->check(CLI::PositiveNumber);
  app.add_option("--queries", options.queries, "per step")->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "per stream")->check(CLI::PositiveNumber);
  app.add_option("--positives", options.positives, "passages per query")->check(CLI::PositiveNumber);
  app.add_option("--passages", options.passages, "of the dataset")->check(CLI::PositiveNumber);
  app.add_option("--words", options.words, "mean tokens per passage")->check(CLI::PositiveNumber);
  app.add_flag("--evaluation", options.evaluation, "streams an evaluation over all passages instead of steps");
  app.add_flag("--former-ranks", options.former_ranks, "ranks up to protocol 7, which need the slots of all ranks and tokens of 32 bits");
  app.add_option("--folder", options.folder, "where the server's state is written");
  app.add_option("--json", options.json, "the figures are written to this file too");
  app.add_option("--client", options.client, "for its own use")->group("");
  app.add_option("--server", options.server, "for its own use")->group("");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = options.client > 0 ? muster::RunClient(options) : muster::RunServer(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "muster-stream-bench: %s\n", std::string(status.message()).c_str());
  return 1;
}
