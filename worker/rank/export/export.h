// A trained encoder as a folder that sentence-transformers and transformers load.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// One evaluation, as a row of the model card's table.
struct ModelCardScore {
  std::string label;    // untrained, trained
  std::string dataset;  // with its split: "scifact (test)"
  std::map<std::string, double> metrics;
};

// The content of README.md. Pairs are printed in order, as a table of name and value.
struct ModelCard {
  std::string title;
  std::string base_model;  // empty: random weights
  uint32_t query_tokens = 0, passage_tokens = 0;  // where training and evaluation cut texts
  std::vector<std::pair<std::string, std::string>> data;
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<ModelCardScore> scores;
};

struct ExportOptions {
  std::filesystem::path folder;     // new; its parent exists
  std::filesystem::path tokenizer;  // folder with the tokenizer's files, which are copied
  std::string query_prompt;  // text before queries and passages
  std::string passage_prompt;
  PackedBatch probe;  // embedded by the encoder and by the reloaded folder, for comparison
  ModelCard card;
};

// Writes to a temporary folder, reloads it, compares the embeddings of `probe`, and then renames it to
// `options.folder`. ALREADY_EXISTS if the folder exists; DATA_LOSS if an embedding differs by more than 1e-6;
// INVALID_ARGUMENT if vocab.txt has more entries than the encoder has word embeddings.
absl::Status ExportFolder(const Encoder& encoder, const ExportOptions& options);

}  // namespace muster
