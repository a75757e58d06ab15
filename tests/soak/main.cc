// muster-soak: many clients against a running cluster, while another program restarts its servers.
//
// The folder of certificates has one folder per client, c0, c1, …. A dataset "soak" and a vocabulary "soak-vocab"
// exist, and the worker starts muster-fake-rank. Exit code 0 says that the program ran; the report says what it
// observed.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/soak/client.h"

namespace muster {
namespace {

struct Flags {
  std::string certificates, report;
  int clients = 200, seconds = 600, submit_seconds = 400, settle_seconds = 120;
  uint64_t seed = 1;
  SoakPlan plan;
};

int Soak(const Flags& flags) {
  Ledger ledger;
  std::vector<std::unique_ptr<SoakClient>> clients;
  for (int i = 0; i < flags.clients; ++i) {
    const std::string name = absl::StrCat("c", i);
    SecurityOptions security;
    security.certificates = std::filesystem::path(flags.certificates) / name;
    auto channel = MakeChannel(flags.plan.address, security);
    if (!channel.ok()) {
      std::fprintf(stderr, "muster-soak: %s\n", std::string(channel.status().message()).c_str());
      return 1;
    }
    clients.push_back(std::make_unique<SoakClient>(flags.plan, *channel, name, flags.seed * 1000003 + i, ledger));
  }
  absl::Notification stop, stop_submitting;
  std::vector<std::thread> threads;
  for (auto& client : clients) threads.emplace_back([&] { client->Run(stop, stop_submitting); });
  std::printf("%d clients\n", flags.clients);
  std::fflush(stdout);
  absl::Notification never;
  never.WaitForNotificationWithTimeout(absl::Seconds(flags.submit_seconds));
  stop_submitting.Notify();
  never.WaitForNotificationWithTimeout(absl::Seconds(flags.seconds - flags.submit_seconds));
  stop.Notify();
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  std::printf("settling\n");
  std::fflush(stdout);
  for (auto& client : clients) {
    threads.emplace_back([&] { client->Settle(absl::Seconds(flags.settle_seconds)); });
  }
  for (std::thread& thread : threads) thread.join();
  const auto listed = clients[0]->ListAll();
  if (listed.ok()) {
    ledger.Count("jobs listed", listed->size());
    for (auto& client : clients) client->Verify(*listed);
  } else {
    ledger.Broken(absl::StrCat("the jobs cannot be listed: ", listed.status().ToString()));
  }
  const absl::Status written = WriteFileAtomically(flags.report, ledger.Report());
  if (!written.ok()) std::fprintf(stderr, "muster-soak: %s\n", std::string(written.message()).c_str());
  return written.ok() ? 0 : 1;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::Flags flags;
  CLI::App app("Many clients against a running cluster, while somebody else restarts its servers.", "muster-soak");
  app.add_option("--address", flags.plan.address, "HOST:PORT of the coordinator")->required();
  app.add_option("--certs", flags.certificates, "Folder with one folder of certificates per client: c0, c1, …")->required();
  app.add_option("--report", flags.report, "File for what was seen, as JSON")->required();
  app.add_option("--clients", flags.clients, "How many")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--seconds", flags.seconds, "How long they call")->capture_default_str();
  app.add_option("--submit-seconds", flags.submit_seconds, "How long of it they submit")->capture_default_str();
  app.add_option("--settle-seconds", flags.settle_seconds, "How long jobs may take to end afterwards")->capture_default_str();
  app.add_option("--submit-share", flags.plan.submit_share, "Share of submissions among the calls")->capture_default_str();
  app.add_option("--seed", flags.seed, "Of all that is random in the clients")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return muster::Soak(flags);
}
