// The law of garbage collection: content that a name or a job refers to is never removed, and in the end nothing else is left.
//
// Random histories of imports, pushes, submissions, checkpoints and deletions are cut into steps between which other
// calls may run (asking for a blob, storing it, naming it). They are mixed with sweeps and collections of dropped
// checkpoints in separate steps, with the clock advancing and the data server dying at any point. The stores, the
// sweep and the coordinator's rules are the real ones; only the network is left out.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <iostream>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/files.h"
#include "coordinator/core/job_machine.h"
#include "coordinator/core/retention.h"
#include "coordinator/core/testing/roots.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/import/importer.h"
#include "coordinator/data/service/sweep.h"

namespace muster {
namespace {

constexpr absl::Duration kUnused = absl::Hours(24);

class World {
 public:
  explicit World(uint32_t seed) : draw_(seed) {
    // In memory if possible: the histories flush thousands of files.
    const bool in_memory = std::filesystem::is_directory("/dev/shm");
    root_ = MakeScratchFolder(in_memory ? "/dev/shm" : testing::TempDir(), "garbage").value();
    state_.epoch = 1;
    Reopen();
  }
  ~World() {
    tasks_.clear();
    stores_.reset();
    std::filesystem::remove_all(root_);
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      const uint32_t what = Draw(100);
      if (what < 55 && !tasks_.empty()) {
        Advance(Draw(tasks_.size()));
      } else if (what < 57) {
        Crash();
      } else if (what < 67) {
        // Calls end within the time for which unused and claimed items are kept: the clock jumps only between them.
        const bool jump = Draw(3) == 0;
        while (jump && !tasks_.empty()) Advance(0);
        clock_.Advance(jump ? absl::Hours(Draw(48)) : absl::Seconds(Draw(20)));
      } else {
        Begin();
      }
      Check();
    }
    while (!tasks_.empty()) Advance(0);
    Check();
  }

  // When nothing is running, exactly the needed content is stored.
  void CheckThatNothingElseIsLeft() {
    clock_.Advance(absl::Hours(24 * 8));
    ASSERT_TRUE(SweepStores(*stores_, Request(), /*next=*/{}, clock_.Now()).ok());
    std::set<std::string> blobs, datasets;
    Needed(blobs, datasets);
    std::set<std::string> stored;
    for (const StoredBlob& blob : Blobs()) stored.insert(blob.digest);
    EXPECT_EQ(stored, blobs);
    const auto left = stores_->shelf->NotUsedSince(absl::InfiniteFuture()).value();
    EXPECT_EQ(std::set<std::string>(left.begin(), left.end()), datasets);
    EXPECT_TRUE(stores_->blobs->PartialsBefore(absl::InfiniteFuture())->empty());
  }

  int removed() const { return removed_; }

 private:
  using Task = std::function<bool()>;  // one step; true: more to do

  std::vector<muster::v1::Model> Models() const { return stores_->catalogue->ListModels().value(); }
  std::vector<muster::v1::Dataset> Datasets() const { return stores_->catalogue->ListDatasets().value(); }
  std::vector<StoredBlob> Blobs() const { return stores_->blobs->List().value(); }

  uint32_t Draw(size_t below) { return static_cast<uint32_t>(draw_() % below); }

  void Reopen() {
    stores_.reset();
    stores_ = OpenDataStores(root_ / "state", clock_).value();
  }
  // The data server dies: calls are cut off, durable data stays. The coordinator keeps running.
  void Crash() {
    tasks_.clear();
    Reopen();
  }
  void Advance(size_t which) {
    if (!tasks_[which]()) tasks_.erase(tasks_.begin() + which);
  }

  void Begin() {
    switch (Draw(9)) {
      case 0:
        return tasks_.push_back(PushTask());
      case 1:
        return tasks_.push_back(ImportTask());
      case 2:
        return tasks_.push_back(SubmitTask());
      case 3:
      case 4:
        return tasks_.push_back(CheckpointTask());
      case 5:
        return DeleteSomeName();
      case 6:
        return EndSomeJob();
      case 7:
        return tasks_.push_back(SweepTask());
      case 8:
        return BreakAnUpload();
    }
  }

  // --- what a client or a rank does

  // Files of few different contents, so that folders share blobs.
  std::vector<std::string> DrawFiles() {
    std::vector<std::string> files;
    for (uint32_t i = 0; i <= Draw(3); ++i) files.push_back(absl::StrCat("content ", Draw(12)));
    return files;
  }
  // Like BlobClient: asks first, then stores what is missing.
  bool PutIfAsked(const std::string& bytes, std::map<std::string, bool>& present, bool& ask) {
    const std::string digest = Sha256Hex(bytes);
    if (ask) {
      present[digest] = stores_->blobs->Stat(digest)->present();
    } else if (!present[digest]) {
      EXPECT_TRUE(stores_->blobs->PutBytes(digest, bytes).ok());
    }
    ask = !ask;
    return ask;  // true: this file is done
  }

  struct Folder {
    std::vector<std::string> files;
    std::string manifest_bytes, digest;
    std::map<std::string, bool> present;
    size_t next = 0;
    bool ask = true;
  };
  Folder MakeFolder(const std::string& vocabulary) {
    Folder folder;
    folder.files = DrawFiles();
    folder.files.push_back(vocabulary);
    muster::v1::FileManifest files;
    for (size_t i = 0; i < folder.files.size(); ++i) {
      auto* file = files.add_files();
      file->set_path(i + 1 == folder.files.size() ? "vocab.txt" : absl::StrCat("file-", i));
      file->set_digest(Sha256Hex(folder.files[i]));
      file->set_size(folder.files[i].size());
    }
    const NamedManifest manifest = CanonicalManifest(files).value();
    folder.manifest_bytes = manifest.bytes;
    folder.digest = manifest.digest;
    return folder;
  }
  // One step of putting the folder and its manifest; true: there is more to do.
  bool PutStep(Folder& folder) {
    const bool last = folder.next == folder.files.size();
    if (PutIfAsked(last ? folder.manifest_bytes : folder.files[folder.next], folder.present, folder.ask)) ++folder.next;
    return folder.next <= folder.files.size();
  }

  Task PushTask() {
    auto folder = std::make_shared<Folder>(MakeFolder(absl::StrCat("vocabulary ", Draw(3))));
    const std::string name = absl::StrCat("model-", Draw(3));
    auto touched = std::make_shared<bool>(false);
    return [this, folder, name, touched] {
      if (folder->next <= folder->files.size()) return PutStep(*folder) || true;
      if (!*touched) {
        const absl::Status status = TouchManifest(*stores_, folder->digest);
        EXPECT_TRUE(status.ok()) << "a blob of a push went while it ran: " << status;
        *touched = true;
        return status.ok();
      }
      // The tokenizer's manifest counts as the model's: it appears when a job resolves the model.
      muster::v1::Model model;
      model.set_name(name);
      model.set_manifest(folder->digest);
      EXPECT_TRUE(stores_->catalogue->PutModel(model).ok());
      return false;
    };
  }

  Task ImportTask() {
    const std::string name = absl::StrCat("set-", Draw(3)), word = absl::StrCat("word", Draw(4));
    auto scratch = std::make_shared<std::optional<ScratchFolder>>();
    auto digest = std::make_shared<std::string>();
    auto stage = std::make_shared<int>(0);
    return [this, name, word, scratch, digest, stage] {
      if (*stage == 0) {
        scratch->emplace(ScratchFolder::Make(stores_->state->scratch(), "import").value());
        muster::v1::ImportHeader header;
        header.set_name(name);
        const auto importer = Importer::Create(header, (*scratch)->path()).value();
        EXPECT_TRUE(importer->BeginFile("corpus.jsonl").ok());
        EXPECT_TRUE(importer->Chunk(absl::StrCat(R"({"_id": "d", "title": "", "text": ")", word, "\"}\n")).ok());
        EXPECT_TRUE(importer->BeginFile("queries.jsonl").ok());
        EXPECT_TRUE(importer->Chunk("{\"_id\": \"q\", \"text\": \"asked\"}\n").ok());
        EXPECT_TRUE(importer->BeginFile("qrels/train.tsv").ok());
        EXPECT_TRUE(importer->Chunk("query-id\tcorpus-id\tscore\nq\td\t1\n").ok());
        *digest = importer->Finish()->dataset().digest();
      } else if (*stage == 1) {
        EXPECT_TRUE(stores_->shelf->Publish((*scratch)->path(), *digest).ok());
      } else {
        muster::v1::Dataset dataset;
        dataset.set_name(name);
        dataset.set_digest(*digest);
        EXPECT_TRUE(stores_->catalogue->PutDataset(dataset).ok());
      }
      return ++*stage < 3;
    };
  }

  // Resolve at the data server, then the coordinator's commit.
  Task SubmitTask() {
    const std::string set = absl::StrCat("set-", Draw(3)), model = absl::StrCat("model-", Draw(3));
    auto resolved = std::make_shared<std::optional<muster::v1::ResolvedJob>>();
    return [this, set, model, resolved] {
      if (!resolved->has_value()) {
        const auto dataset = stores_->catalogue->GetDataset(set);
        const auto named = stores_->catalogue->GetModel(model);
        if (!dataset.ok() || !named.ok()) return false;
        if (!stores_->shelf->Open(dataset->digest()).ok()) return false;  // its name changed in between
        const auto files = ReadManifestBlob(*stores_->blobs, named->manifest());
        if (!files.ok()) return false;
        const NamedManifest tokenizer = CanonicalManifest(TokenizerFiles(*files).value()).value();
        EXPECT_TRUE(stores_->blobs->PutBytes(tokenizer.digest, tokenizer.bytes).ok());
        for (const std::string& manifest : {named->manifest(), tokenizer.digest}) {
          if (!TouchManifest(*stores_, manifest).ok()) return false;
        }
        resolved->emplace();
        if (Draw(2) == 0) {
          (*resolved)->set_train_dataset(dataset->digest());
        } else {
          (*resolved)->add_train_datasets(dataset->digest());
        }
        (*resolved)->set_model_manifest(named->manifest());
        (*resolved)->set_tokenizer_manifest(tokenizer.digest);
        return true;
      }
      JobRecord record;
      record.mutable_job()->set_id(absl::StrCat("job-", ++jobs_));
      record.mutable_job()->set_phase(muster::v1::JOB_PHASE_TRAINING);
      record.mutable_job()->mutable_spec()->mutable_checkpoint()->set_keep(1 + Draw(2));
      *record.mutable_job()->mutable_resolved() = **resolved;
      record.mutable_running()->set_number(1);
      Commit(RecordOf(record));
      return false;
    };
  }

  Task CheckpointTask() {
    auto folder = std::make_shared<Folder>(MakeFolder("weights"));
    const std::string id = absl::StrCat("job-", 1 + Draw(jobs_ + 1));
    return [this, folder, id] {
      if (folder->next <= folder->files.size()) return PutStep(*folder) || true;
      const JobRecord* job = FindJob(state_, id);
      if (job == nullptr || !job->has_running()) return false;
      muster::internal::v1::CheckpointSaved saved;
      saved.mutable_checkpoint()->set_step(++steps_);
      saved.mutable_checkpoint()->set_manifest(folder->digest);
      Transition transition = muster::Advance(*job, saved, clock_.Now()).value();
      for (const std::string& manifest : transition.restored) state_.garbage.erase(manifest);
      Commit(RecordOf(std::move(transition.record)));
      for (const std::string& manifest : transition.garbage) {
        state_.garbage.insert(manifest);
        tasks_.push_back(CollectTask(manifest));
      }
      return false;
    };
  }

  // --- what the servers do by themselves

  // Like runtime/blob_collector.cc: looks at the state, reads manifests, deletes; anything may happen between the two.
  Task CollectTask(const std::string& manifest) {
    auto doomed = std::make_shared<std::optional<std::vector<std::string>>>();
    return [this, manifest, doomed, let_go = clock_.Now()] {
      if (!doomed->has_value()) {
        const std::vector<std::string> all = ReferencedManifests(state_, "", 1'000'000);
        std::set<std::string> manifests(all.begin(), all.end()), blobs = ReferencedBlobs(state_);
        for (const auto& model : Models()) manifests.insert(model.manifest());
        if (!state_.garbage.contains(manifest) || manifests.contains(manifest)) return false;
        std::vector<muster::v1::FileManifest> kept;
        for (const std::string& digest : manifests) {
          const auto files = ReadManifestBlob(*stores_->blobs, digest);
          if (!files.ok()) continue;
          kept.push_back(*files);
          blobs.insert(digest);
        }
        const auto gone = ReadManifestBlob(*stores_->blobs, manifest);
        if (!gone.ok()) return false;
        *doomed = BlobsToDelete(manifest, *gone, kept, blobs);
        return true;
      }
      NeededBlobs kept;
      EXPECT_TRUE(AddBlobsOfModels(*stores_, kept).ok());
      EXPECT_TRUE(kept.lost.empty());
      for (const std::string& digest : **doomed) {
        if (kept.digests.Has(digest)) continue;
        removed_ += stores_->blobs->DeleteUnlessClaimed(digest, let_go).value();
      }
      state_.garbage.erase(manifest);
      return false;
    };
  }

  Task SweepTask() {
    auto request = std::make_shared<std::optional<muster::internal::v1::SweepRequest>>();
    auto sweep = std::make_shared<std::unique_ptr<Sweep>>();
    auto marked = std::make_shared<bool>(false);
    return [this, request, sweep, marked] {
      if (!request->has_value()) {
        *request = Request();
        return true;
      }
      if (*sweep == nullptr) {
        *sweep = Sweep::Begin(*stores_, **request, clock_.Now()).value();
        return true;
      }
      if (!*marked) {
        EXPECT_TRUE((*sweep)->Mark().ok());
        return *marked = true;
      }
      if ((*sweep)->done()) {
        const auto swept = (*sweep)->Finish();
        EXPECT_TRUE(swept.ok() && swept->blobs.ok() && swept->lost.empty());
        return false;
      }
      EXPECT_TRUE((*sweep)->RemoveNext().ok());
      ++removed_;
      return true;
    };
  }

  // --- atomic steps

  void DeleteSomeName() {
    const std::string n = absl::StrCat(Draw(3));
    if (Draw(2) == 0) {
      (void)stores_->catalogue->DeleteModel("model-" + n);
    } else {
      (void)stores_->catalogue->DeleteDataset("set-" + n);
    }
  }
  void EndSomeJob() {
    const JobRecord* job = FindJob(state_, absl::StrCat("job-", 1 + Draw(jobs_ + 1)));
    if (job == nullptr) return;
    if (IsFinal(job->job().phase())) {
      Record removed;
      removed.mutable_removed()->set_id(job->job().id());
      return Commit(removed);
    }
    JobRecord ended = *job;
    ended.mutable_job()->set_phase(muster::v1::JOB_PHASE_CANCELLED);
    ended.clear_running();
    Commit(RecordOf(ended));
  }
  void BreakAnUpload() {
    const std::string bytes = absl::StrCat("broken ", Draw(5));
    muster::v1::PutBlobHeader header;
    header.set_digest(Sha256Hex(bytes));
    header.set_size(bytes.size());
    const auto upload = stores_->blobs->Upload(header);
    if (!upload.ok()) return;  // already stored
    EXPECT_TRUE((*upload)->Append("bro").ok());
  }

  void Commit(const Record& record) { ASSERT_TRUE(Apply(record, state_).ok()); }

  muster::internal::v1::SweepRequest Request() const {
    muster::internal::v1::SweepRequest request;
    const Roots roots = RootsOf(state_);
    request.set_epoch(state_.epoch);
    request.set_last(true);
    request.set_unused_seconds(absl::ToInt64Seconds(kUnused));
    for (const std::string& digest : roots.manifests) request.add_manifests(digest);
    for (const std::string& digest : roots.blobs) request.add_blobs(digest);
    for (const std::string& digest : roots.datasets) request.add_datasets(digest);
    return request;
  }

  // --- the law

  // Digests that names and jobs need, computed here in the simplest way.
  void Needed(std::set<std::string>& blobs, std::set<std::string>& datasets) {
    std::set<std::string> manifests;
    for (const auto& model : Models()) {
      manifests.insert(model.manifest());
      const auto files = ReadManifestBlob(*stores_->blobs, model.manifest());
      ASSERT_TRUE(files.ok()) << "the manifest of " << model.name() << " is gone";
      const std::string tokenizer = CanonicalManifest(TokenizerFiles(*files).value())->digest;
      if (stores_->blobs->PathOf(tokenizer).ok()) manifests.insert(tokenizer);  // stored once a job resolves it
    }
    for (const auto& dataset : Datasets()) datasets.insert(dataset.digest());
    for (const auto& [id, record] : state_.jobs) {
      for (const auto& checkpoint : record.job().checkpoints()) manifests.insert(checkpoint.manifest());
      const bool final = IsFinal(record.job().phase());
      if (final && record.job().checkpoints().empty()) continue;
      // Another job may start from a checkpoint, and then needs the sources of the checkpoint's job.
      manifests.insert(record.job().resolved().model_manifest());
      manifests.insert(record.job().resolved().tokenizer_manifest());
      if (final) continue;
      datasets.insert(record.job().resolved().train_datasets().begin(), record.job().resolved().train_datasets().end());
      datasets.insert(record.job().resolved().train_dataset());
      datasets.erase("");
    }
    for (const std::string& manifest : manifests) {
      blobs.insert(manifest);
      const auto files = ReadManifestBlob(*stores_->blobs, manifest);
      ASSERT_TRUE(files.ok()) << "manifest " << manifest << " is gone";
      for (const auto& file : files->files()) blobs.insert(file.digest());
    }
  }
  void Check() {
    std::set<std::string> blobs, datasets;
    Needed(blobs, datasets);
    for (const std::string& digest : blobs) ASSERT_TRUE(stores_->blobs->PathOf(digest).ok()) << digest << " is gone";
    const auto stored = stores_->shelf->NotUsedSince(absl::InfiniteFuture()).value();
    for (const std::string& digest : datasets) {
      ASSERT_TRUE(std::find(stored.begin(), stored.end(), digest) != stored.end())
          << "dataset " << digest << " is gone";
    }
  }

  std::mt19937 draw_;
  FakeClock clock_{absl::FromUnixSeconds(1800000000)};
  std::filesystem::path root_;
  std::unique_ptr<DataStores> stores_;
  State state_;
  std::deque<Task> tasks_;
  uint32_t jobs_ = 0;
  uint64_t steps_ = 0;
  int removed_ = 0;
};

TEST(GarbageLaw, NothingThatIsNeededIsRemovedAndInTheEndNothingElseIsLeft) {
  const uint32_t first = std::random_device()();
  int removed = 0;
  for (uint32_t seed = first; seed != first + 30; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    world.Run(250);
    if (HasFatalFailure()) return;
    world.CheckThatNothingElseIsLeft();
    if (HasFailure()) return;
    removed += world.removed();
  }
  std::cout << "seeds from " << first << ": " << removed << " removals\n";
  EXPECT_GT(removed, 100) << "the histories must remove a lot, or they show nothing";
}

}  // namespace
}  // namespace muster
