// Shared by the planner's tests: a small vocabulary, a job, random datasets.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "common/files.h"
#include "common/random.h"
#include "coordinator/data/plan/share_source.h"
#include "coordinator/data/plan/step_plan.h"
#include "coordinator/data/plan/testing/fake_dataset.h"
#include "coordinator/data/tokenize/token_store.h"
#include "coordinator/data/tokenize/vocab_txt.h"

namespace muster {

// Ids: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, then w0 = 4, w1 = 5, …
inline std::shared_ptr<const Tokenizer> TestTokenizer() {
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
  for (int i = 0; i < 1000; ++i) vocabulary += "w" + std::to_string(i) + "\n";
  return *TokenizerOfVocabulary(vocabulary, true);
}

inline std::shared_ptr<const TokenStore> TestTokens(const Dataset& dataset, JoinedPrompts prompts = {}) {
  const auto folder = *MakeScratchFolder(std::filesystem::temp_directory_path(), "tokens");
  auto store = *TokenStore::OpenOrBuild(dataset, TestTokenizer(), std::move(prompts), folder, {});
  std::filesystem::remove_all(folder);  // the files stay mapped
  return store;
}

inline muster::v1::JobSpec TestJob(uint32_t queries = 4) {
  muster::v1::JobSpec spec;
  spec.set_seed(17);
  spec.mutable_model()->mutable_max_length()->set_query(16);
  spec.mutable_model()->mutable_max_length()->set_passage(64);
  spec.mutable_data()->set_train("d");
  spec.mutable_data()->set_split("train");
  spec.mutable_data()->mutable_positives()->set_per_query(2);
  spec.mutable_data()->mutable_negatives()->set_per_query(0);
  spec.mutable_batch()->set_queries(queries);
  spec.mutable_batch()->set_micro_batch_tokens(128);
  return spec;
}

inline muster::v1::ResolvedJob Resolve(const Dataset& dataset, const muster::v1::JobSpec& spec) {
  muster::v1::ResolvedJob resolved;
  resolved.set_train_dataset(dataset.digest());
  const uint64_t queries = TrainQueries(dataset, 0, spec.data());
  resolved.set_train_queries(queries);
  resolved.set_steps_per_epoch((queries + spec.batch().queries() - 1) / spec.batch().queries());
  return resolved;
}

inline TrainingInputs TestInputs(const Dataset& dataset, const muster::v1::JobSpec& spec) {
  const auto texts = std::make_shared<const TrainingTexts>(TrainingTexts::Of(dataset, /*split=*/0));
  return *MakeTrainingInputs(texts, spec);
}

inline absl::StatusOr<std::shared_ptr<ShareSource>> TestSource(std::shared_ptr<const Dataset> dataset,
                                                               const muster::v1::JobSpec& spec) {
  return ShareSource::Create({{dataset}, {TestTokens(*dataset)}, spec, Resolve(*dataset, spec)});
}

inline std::string RandomText(CounterRandom& random, uint64_t words) {
  std::string text;
  for (uint64_t i = 0; i < words; ++i) text += (i == 0 ? "w" : " w") + std::to_string(random.Below(1000));
  return text;
}

// Ragged positives (some queries have none), grades, two sources, hard negatives that may be positives, equal texts
// under two ids, skewed lengths.
inline std::shared_ptr<FakeDataset> RandomDataset(uint64_t seed, uint32_t queries, uint32_t documents,
                                                  std::shared_ptr<FakeDataset> dataset = std::make_shared<FakeDataset>()) {
  CounterRandom random(seed);
  for (uint32_t d = 0; d < documents; ++d) {
    const std::string id = "d" + std::to_string(d);
    if (d > 0 && random.Below(8) == 0) {
      dataset->DocumentOfPassage(id, dataset->passage_of(static_cast<uint32_t>(random.Below(d))));
    } else {
      const uint64_t words = random.Below(10) == 0 ? random.Below(80) : 1 + random.Below(12);
      dataset->DocumentOfPassage(id, dataset->NewPassage(RandomText(random, words)));
    }
  }
  for (uint32_t q = 0; q < queries; ++q) {
    dataset->Query(RandomText(random, 1 + random.Below(20)), random.Below(4) == 0 ? 0.5f : 1.0f);
    for (uint64_t i = random.Below(6); i > 0; --i) {
      dataset->Judge(q, static_cast<uint32_t>(random.Below(documents)), static_cast<float>(random.Below(4)),
                     static_cast<uint16_t>(random.Below(2)), static_cast<uint32_t>(random.Below(4) == 0));
    }
    for (uint64_t i = random.Below(4); i > 0; --i) {
      dataset->HardNegative(q, static_cast<uint32_t>(random.Below(documents)));
    }
  }
  return dataset;
}

}  // namespace muster
