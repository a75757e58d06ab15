#include "coordinator/core/state_index.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/spec/job_spec.h"
#include "coordinator/core/retention.h"
#include "coordinator/core/state.h"

namespace muster {
namespace {

using muster::v1::JobPhase;

template <typename Set>
void ChangeMember(bool add, const typename Set::value_type& member, Set& set) {
  if (add) {
    set.insert(member);
  } else {
    set.erase(member);
  }
}

// Adds the member to the set of the key, or removes it; keys without members are removed, too.
template <typename Key, typename Set>
void ChangeMember(bool add, const Key& key, const typename Set::value_type& member, std::map<Key, Set>& sets) {
  const auto found = add ? sets.try_emplace(key).first : sets.find(key);
  if (found == sets.end()) return;
  ChangeMember(add, member, found->second);
  if (found->second.empty()) sets.erase(found);
}

void ChangeCount(bool add, const std::string& key, std::map<std::string, uint64_t>& counts) {
  if (key.empty()) return;
  uint64_t& count = counts[key];
  count += add ? 1 : -1;
  if (count == 0) counts.erase(key);
}

int64_t Nanoseconds(const google::protobuf::Timestamp& time) { return absl::ToUnixNanos(FromProto(time)); }

// Workers of the attempt's grants and ranks, each once.
std::vector<std::string> WorkersOfRunning(const JobRecord& record) {
  std::vector<std::string> workers;
  for (const journal::v1::Grant& grant : record.running().grants()) workers.push_back(grant.worker());
  if (!record.job().attempts().empty()) {
    for (const auto& rank : record.job().attempts().rbegin()->ranks()) {
      if (workers.empty() || workers.back() != rank.worker()) workers.push_back(rank.worker());
    }
  }
  std::sort(workers.begin(), workers.end());
  workers.erase(std::unique(workers.begin(), workers.end()), workers.end());
  return workers;
}

void ChangeReference(bool add, bool needed, const std::string& digest, std::map<std::string, DigestReferences>& digests) {
  if (digest.empty()) return;
  const uint64_t one = add ? 1 : -1;
  DigestReferences& references = digests[digest];
  references.all += one;
  if (needed) references.needed += one;
  if (references.all == 0) digests.erase(digest);
}

void ChangeReferences(bool add, const JobRecord& record, StateIndex& index) {
  const journal::v1::StoredJob& job = record.job();
  const muster::v1::ResolvedJob& resolved = job.resolved();
  const bool ended = IsFinal(job.phase());
  const auto change = [&](bool needed, const std::string& manifest) {
    ChangeReference(add, needed, manifest, index.manifests);
  };
  for (const muster::v1::CheckpointInfo& checkpoint : job.checkpoints()) change(true, checkpoint.manifest());
  for (const auto& refused : record.refused()) change(true, refused.checkpoint().manifest());
  for (const std::string* made : {&job.export_manifest(), &job.trace_manifest(), &job.step_log_manifest()}) {
    change(true, *made);
  }
  // Another job may start from a checkpoint (`job:ID@STEP`), and then needs the sources of this one's model.
  const bool needs_model = !ended || !job.checkpoints().empty();
  change(needs_model, resolved.model_manifest());
  change(needs_model, resolved.tokenizer_manifest());
  for (const std::string& manifest : ManifestsOfModel(resolved)) change(needs_model, manifest);
  ChangeReference(add, !ended, resolved.tokenizer(), index.vocabularies);
  if (ended) return;
  for (const std::string* dataset :
       {&resolved.train_dataset(), &resolved.evaluate_dataset(), &resolved.report_dataset(), &resolved.mine_dataset()}) {
    ChangeCount(add, *dataset, index.datasets);
  }
  for (const std::string& dataset : resolved.train_datasets()) ChangeCount(add, dataset, index.datasets);
}

void ChangeQueue(bool add, const JobRecord& record, std::map<std::string, QueueTotals>& queues) {
  const std::string& name = record.job().spec().resources().queue();
  QueueTotals& queue = queues[name];
  const uint64_t one = add ? 1 : -1;
  queue.jobs += one;
  if (record.has_running()) {
    queue.running += one;
    queue.slots_used += one * record.running().ranks_size();
  } else if (record.job().phase() != JobPhase::JOB_PHASE_PAUSED) {
    queue.waiting += one;
    if (record.has_waiting_since()) {
      ChangeMember(add, std::pair(Nanoseconds(record.waiting_since()), record.job().id()), queue.since);
    }
  }
  if (queue.jobs == 0) queues.erase(name);
}

void ChangeRan(bool add, const JobRecord& record, std::map<std::string, std::map<uint32_t, JobsBySequence>>& ran) {
  const journal::v1::StoredJob& job = record.job();
  if (job.attempts().empty()) return;
  const std::string key = WorkKey(job.spec(), job.resolved());
  std::map<uint32_t, JobsBySequence>& by_ranks = ran[key];
  ChangeMember(add, static_cast<uint32_t>(job.attempts().rbegin()->ranks_size()), std::pair(record.sequence(), job.id()),
               by_ranks);
  if (by_ranks.empty()) ran.erase(key);
}

}  // namespace

std::strong_ordering QueuePlace::operator<=>(const QueuePlace& other) const {
  if (priority != other.priority) return other.priority <=> priority;
  if (sequence != other.sequence) return sequence <=> other.sequence;
  return id <=> other.id;
}

WaitingShape ShapeOf(const JobRecord& record) {
  const muster::v1::ResourcesSpec& resources = record.job().spec().resources();
  return {resources.device(), std::max<uint32_t>(1, resources.slots().min()),
          NeededProtocol(record.job().spec(), record.job().resolved())};
}

std::string WorkKey(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved) {
  return absl::StrCat(static_cast<int>(spec.resources().device()), "\n", resolved.model_manifest(), "\n",
                      spec.model().preset(), "\n", spec.model().has_lora());
}

QueuePlace PlaceOf(const JobRecord& record) {
  const muster::v1::ResourcesSpec& resources = record.job().spec().resources();
  return {resources.priority(), record.sequence(), record.job().id(), resources.slots().max()};
}

SubmissionPlace SubmissionPlaceOf(const JobRecord& record) {
  return {Nanoseconds(record.job().submitted()), record.sequence(), record.job().id()};
}

bool IsWaiting(const JobRecord& record) {
  return record.job().phase() == JobPhase::JOB_PHASE_QUEUED || record.job().phase() == JobPhase::JOB_PHASE_RECOVERING;
}

void StateIndex::Change(const JobRecord& record, bool add) {
  const journal::v1::StoredJob& job = record.job();
  const std::string& id = job.id();
  const SubmissionPlace place = SubmissionPlaceOf(record);
  ChangeMember(add, place, by_submission);
  ChangeMember(add, job.owner(), place, by_owner);
  ChangeMember(add, job.spec().resources().queue(), place, by_queue);
  ChangeMember(add, std::pair(job.spec().name(), place), by_name);
  ChangeMember(add, job.phase(), place, by_phase);
  for (const std::string& request : record.requests()) ChangeMember(add, request, id, requests);
  ChangeReferences(add, record, *this);
  ChangeRan(add, record, ran);
  if (IsFinal(job.phase())) {
    ChangeMember(add, std::pair(Nanoseconds(job.ended()), id), ended);
    return;
  }
  ChangeMember(add, place, active_by_submission);
  uint64_t& own = active_of_owner[job.owner()];
  own += add ? 1 : -1;
  if (own == 0) active_of_owner.erase(job.owner());
  ChangeQueue(add, record, queues);
  if (record.cause_pending()) ChangeMember(add, id, cause_pending);
  if (record.start_failures().has_retry()) ChangeMember(add, id, retrying);
  if (IsWaiting(record)) ChangeMember(add, ShapeOf(record), PlaceOf(record), waiting);
  if (record.has_running()) {
    if (add) {
      running[id] = {record.running().number(), static_cast<uint32_t>(record.running().ranks_size()),
                     job.phase() == JobPhase::JOB_PHASE_TRAINING};
    } else {
      running.erase(id);
    }
    for (const std::string& worker : WorkersOfRunning(record)) ChangeMember(add, worker, id, by_worker);
  } else if (job.phase() != JobPhase::JOB_PHASE_PAUSED) {
    waiting_slots += (add ? 1 : -1) * static_cast<uint64_t>(std::max<uint32_t>(1, job.spec().resources().slots().min()));
  }
}

}  // namespace muster
