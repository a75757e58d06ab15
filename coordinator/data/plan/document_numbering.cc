#include "coordinator/data/plan/document_numbering.h"

#include <algorithm>
#include <string_view>

namespace muster {
namespace {

// The first bytes of an id as a number of the same order; zeros after the end of a shorter one.
uint64_t FirstBytes(std::string_view id) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < sizeof(bytes); ++i) bytes = bytes << 8 | (i < id.size() ? static_cast<uint8_t>(id[i]) : 0);
  return bytes;
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

size_t CommonPrefixOfIds(const Dataset& dataset) {
  std::string_view prefix = dataset.documents() == 0 ? std::string_view() : dataset.document_id(0);
  for (uint32_t document = 0; document < dataset.documents() && !prefix.empty(); ++document) {
    prefix = prefix.substr(0, CommonPrefix(prefix, dataset.document_id(document)));
  }
  return prefix.size();
}

// Ids are spread over a large file, so their first bytes are read once, in the file's order. These decide most comparisons.
std::vector<uint32_t> InDescendingOrderOfIds(const Dataset& dataset) {
  struct Key {
    uint64_t bytes;  // of the id, after the prefix that all ids share
    uint32_t document;
  };
  const size_t prefix = CommonPrefixOfIds(dataset);
  std::vector<Key> keys(dataset.documents());
  for (uint32_t document = 0; document < keys.size(); ++document) {
    keys[document] = {FirstBytes(dataset.document_id(document).substr(prefix)), document};
  }
  std::ranges::sort(keys, [&](const Key& a, const Key& b) {
    if (a.bytes != b.bytes) return a.bytes > b.bytes;
    return dataset.document_id(a.document) > dataset.document_id(b.document);
  });
  std::vector<uint32_t> documents(keys.size());
  std::ranges::transform(keys, documents.begin(), &Key::document);
  return documents;
}

}  // namespace

DocumentNumbering NumberDocuments(const Dataset& dataset) {
  DocumentNumbering result;
  result.documents = InDescendingOrderOfIds(dataset);
  result.numbers.resize(result.documents.size());
  result.passages.resize(result.documents.size());
  std::vector<uint32_t> first(dataset.passages(), UINT32_MAX);  // passage → its smallest number
  for (uint32_t number = 0; number < result.documents.size(); ++number) {
    const uint32_t document = result.documents[number], passage = dataset.passage_of(document);
    result.numbers[document] = number;
    result.passages[number] = passage;
    if (first[passage] == UINT32_MAX) {
      first[passage] = number;
    } else {
      result.aliases.emplace_back(number, first[passage]);
    }
  }
  return result;
}

}  // namespace muster
