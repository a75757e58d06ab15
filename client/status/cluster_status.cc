#include "client/status/cluster_status.h"

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/doctor/cluster_checks.h"
#include "client/output.h"
#include "client/words.h"

namespace muster {
namespace {

using muster::v1::JobSummary;
using muster::v1::Worker;

std::string WorkersText(const muster::v1::ListWorkersResponse& workers) {
  if (workers.workers().empty()) return "none";
  std::map<std::string, uint64_t> states;
  std::map<std::string, std::pair<uint64_t, uint64_t>> slots;  // by device: used, all
  for (const Worker& worker : workers.workers()) {
    ++states[WordOf(worker.state())];
    const bool known = worker.device() != muster::v1::DEVICE_UNSPECIFIED;
    auto& [used, all] = slots[known ? WordOf(worker.device()) : ""];
    for (const auto& slot : worker.slots()) used += !slot.job_id().empty();
    all += static_cast<uint64_t>(worker.slots_size());
  }
  std::vector<std::string> parts;
  for (const auto& [state, count] : states) parts.push_back(absl::StrCat(count, " ", state));
  const std::string counts = absl::StrJoin(parts, ", ");
  parts.clear();
  for (const auto& [device, count] : slots) {
    parts.push_back(absl::StrCat(count.first, " of ", count.second, device.empty() ? "" : absl::StrCat(" ", device),
                                 " slots used, ", count.second - count.first, " free"));
  }
  return absl::StrCat(counts, "; ", absl::StrJoin(parts, "; "));
}

std::string ProgressText(const JobSummary& job) {
  if (job.total_steps() == 0) return "-";
  const std::string steps = absl::StrCat(job.step(), "/", job.total_steps());
  return job.eta_seconds() > 0 ? absl::StrCat(steps, ", ETA ", DurationText(job.eta_seconds())) : steps;
}

std::string JobsText(const ClusterStatus& status, int columns, bool wide) {
  const auto time = [&](const google::protobuf::Timestamp& at) { return wide ? TimeText(at) : AgeText(at, status.now); };
  std::string text = "\n";
  if (status.active.jobs.empty()) {
    text += "no active jobs\n";
  } else {
    Table table({"ACTIVE", "NAME", "PHASE", "STEP", "QUEUE", "OWNER", "SUBMITTED", "REASON"});
    for (const JobSummary& job : status.active.jobs) {
      table.Add({job.id(), job.name(), WordOf(job.phase()), ProgressText(job), job.queue(), job.owner(), time(job.submitted()),
                 job.reason()});
    }
    text += table.Text(columns);
    if (status.active.more) text += "… and more: muster jobs --active\n";
  }
  if (status.ended.jobs.empty()) return text;
  Table table({"ENDED", "NAME", "PHASE", "STEP", "QUEUE", "OWNER", "WHEN", "REASON"});
  for (const JobSummary& job : status.ended.jobs) {
    table.Add({job.id(), job.name(), WordOf(job.phase()), absl::StrCat(job.step(), "/", job.total_steps()), job.queue(),
               job.owner(), time(job.ended()), job.reason()});
  }
  return absl::StrCat(text, "\n", table.Text(columns));
}

}  // namespace

Findings HintsOf(const ClusterStatus& status) {
  Findings all = {CheckVersion("coordinator", status.cluster.version(), status.own_version)};
  if (status.cluster.data_addresses().empty()) {
    all.push_back({Verdict::kProblem, "data server", "there is none: jobs wait, and imports are refused",
                   "start muster-data, and name it in the coordinator's --data"});
  }
  for (Finding& finding : CheckWorkers(status.workers, status.own_version, status.now)) all.push_back(std::move(finding));
  for (const JobSummary& job : status.active.jobs) {
    if (job.reason_code() != muster::v1::REASON_CODE_TOO_LARGE) continue;
    all.push_back({Verdict::kProblem, absl::StrCat("job ", job.id()), job.reason(),
                   "start more workers, or submit it with a smaller resources.slots.min"});
  }
  Findings hints;
  for (Finding& finding : all) {
    if (finding.verdict != Verdict::kOk) hints.push_back(std::move(finding));
  }
  return hints;
}

std::string StatusText(const ClusterStatus& status, int columns, bool wide) {
  Table facts({"coordinator", absl::StrCat(status.address, ", version ", status.cluster.version())});
  facts.Add({"data servers", status.cluster.data_addresses().empty() ? "none" : absl::StrJoin(status.cluster.data_addresses(), ", ")});
  facts.Add({"workers", WorkersText(status.workers)});
  std::vector<std::string> queues;
  for (const auto& queue : status.queues.queues()) {
    queues.push_back(absl::StrCat(queue.name(), ": ", queue.jobs_running(), " running, ", queue.jobs_waiting(), " waiting"));
  }
  facts.Add({"queues", queues.empty() ? "none in use" : absl::StrJoin(queues, "; ")});
  std::string text = facts.Text(columns) + JobsText(status, columns, wide);
  const Findings hints = HintsOf(status);
  if (!hints.empty()) text += "\n";
  for (const Finding& hint : hints) {
    absl::StrAppend(&text, hint.verdict == Verdict::kProblem ? "problem  " : "warning  ", hint.what, ": ", hint.detail, "\n",
                    "         -> ", hint.remedy, "\n");
  }
  return text;
}

nlohmann::ordered_json StatusJson(const ClusterStatus& status) {
  const auto parsed = [](const google::protobuf::Message& message) { return nlohmann::ordered_json::parse(JsonText(message)); };
  nlohmann::ordered_json json = {{"address", status.address}};
  json.update(parsed(status.cluster));
  json["workers"] = parsed(status.workers)["workers"];
  json["queues"] = parsed(status.queues)["queues"];
  for (const auto& [key, page] : {std::pair("active", &status.active), std::pair("ended", &status.ended)}) {
    json[key] = nlohmann::ordered_json::array();
    for (const JobSummary& job : page->jobs) json[key].push_back(parsed(job));
  }
  json["more_active"] = status.active.more;
  json["hints"] = nlohmann::ordered_json::array();
  for (const Finding& hint : HintsOf(status)) {
    json["hints"].push_back({{"state", hint.verdict == Verdict::kProblem ? "problem" : "warning"},
                             {"what", hint.what},
                             {"detail", hint.detail},
                             {"remedy", hint.remedy}});
  }
  return json;
}

}  // namespace muster
