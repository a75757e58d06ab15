// The same ten records in the files of every schema give the same dataset; and each schema refuses a record that breaks it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/import/importer.h"
#include "coordinator/data/plan/step_plan.h"

namespace muster {
namespace {

using muster::v1::ImportHeader;
using muster::v1::ImportReport;
using testing::HasSubstr;
using Files = std::vector<std::pair<std::string, std::string>>;  // path, content

constexpr int kRecords = 10;

std::string Query(int i) { return absl::StrCat("what is the color of fish ", i); }
std::string Positive(int i, int j) { return absl::StrCat("fish ", i, " is red, says book ", j); }
std::string Negative(int i, int j) { return absl::StrCat("bird ", i, " is blue, says book ", j); }
// Records have one or two positives and as many negatives.
int Count(int i) { return 1 + i % 2; }
std::string Quoted(const std::string& text) { return absl::StrCat("\"", text, "\""); }

template <typename Of>
std::string List(int i, const Of& of) {
  std::vector<std::string> items;
  for (int j = 0; j < Count(i); ++j) items.push_back(of(i, j));
  return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
}
std::string Positives(int i) { return List(i, [](int q, int j) { return Quoted(Positive(q, j)); }); }
std::string Negatives(int i) { return List(i, [](int q, int j) { return Quoted(Negative(q, j)); }); }
std::string Objects(int i, bool positive, const std::string& id_key) {
  return List(i, [&](int q, int j) {
    const std::string id = id_key.empty() ? "" : absl::StrCat("\"", id_key, "\": \"", positive ? "d" : "n", q, "-", j, "\", ");
    return absl::StrCat("{", id, "\"title\": \"\", \"text\": ", Quoted(positive ? Positive(q, j) : Negative(q, j)), "}");
  });
}
std::string Ids(int i, bool positive) {
  return List(i, [&](int q, int j) { return absl::StrCat("\"", positive ? "d" : "n", q, "-", j, "\""); });
}

template <typename Line>
std::string Lines(const Line& line) {
  std::string lines;
  for (int i = 0; i < kRecords; ++i) absl::StrAppend(&lines, line(i), "\n");
  return lines;
}
// One line per pair of a positive and a negative.
template <typename Line>
std::string Pairs(const Line& line) {
  std::string lines;
  for (int i = 0; i < kRecords; ++i) {
    for (int j = 0; j < Count(i); ++j) absl::StrAppend(&lines, line(i, j), "\n");
  }
  return lines;
}

// Tables whose documents come in another order than the judgments.
std::string Corpus(const std::string& id_key, const std::string& text_key) {
  std::string lines;
  for (int i = kRecords - 1; i >= 0; --i) {
    for (int j = 0; j < Count(i); ++j) {
      for (const bool positive : {false, true}) {
        absl::StrAppend(&lines, "{", Quoted(id_key), ": \"", positive ? "d" : "n", i, "-", j, "\", ", Quoted(text_key), ": ",
                        Quoted(positive ? Positive(i, j) : Negative(i, j)), "}\n");
      }
    }
  }
  return lines;
}
std::string Queries(const std::string& id_key, const std::string& text_key) {
  return Lines([&](int i) { return absl::StrCat("{", Quoted(id_key), ": \"k", i, "\", ", Quoted(text_key), ": ", Quoted(Query(i)), "}"); });
}

struct Example {
  std::string name, schema;
  Files files;
  bool has_negatives = true;  // whether the schema can express negatives
  // A record that breaks the schema, its file, and what the message must contain.
  std::string bad_file, bad_line, message;
};

std::vector<Example> Examples() {
  std::vector<Example> all;
  all.push_back({"flagembedding", "flagembedding",
                 {{"rows.jsonl", Lines([](int i) { return absl::StrCat("{\"query\": ", Quoted(Query(i)), ", \"pos\": ", Positives(i), ", \"neg\": ", Negatives(i), "}"); })}},
                 true, "rows.jsonl", R"({"query": "a", "pos": 3})", "\"pos\" must be a list of strings, found a number"});
  all.push_back({"tevatron_inline", "tevatron",
                 {{"rows.jsonl", Lines([](int i) {
                     return absl::StrCat("{\"query_id\": \"k", i, "\", \"query\": ", Quoted(Query(i)), ", \"positive_passages\": ", Objects(i, true, "docid"),
                                         ", \"negative_passages\": ", Objects(i, false, "docid"), "}");
                   })}},
                 true, "rows.jsonl", R"({"query_id": "x", "query": "a", "positive_passages": [{"docid": "1"}]})",
                 "\"positive_passages\" must be a list of objects with \"text\", found an object in which it is nothing"});
  all.push_back({"tevatron_texts", "tevatron",
                 {{"rows.jsonl", Lines([](int i) { return absl::StrCat("{\"query\": ", Quoted(Query(i)), ", \"positives\": ", Positives(i), ", \"negatives\": ", Negatives(i), "}"); })}},
                 true, "rows.jsonl", R"({"query": "a", "positives": "p"})", "\"positives\" must be a list of strings, found a string"});
  all.push_back({"tevatron_by_id", "tevatron",
                 {{"train.jsonl", Lines([](int i) {
                     return absl::StrCat("{\"query_id\": \"k", i, "\", \"query_text\": ", Quoted(Query(i)), ", \"positive_document_ids\": ", Ids(i, true),
                                         ", \"negative_document_ids\": ", Ids(i, false), "}");
                   })},
                  {"corpus.jsonl", Corpus("docid", "text")}},
                 true, "train.jsonl", R"({"query_id": "x", "query_text": "a", "positive_document_ids": [true]})",
                 "\"positive_document_ids\" must be a list of ids, found a boolean in it"});
  all.push_back({"sentence_transformers_jsonl", "sentence-transformers",
                 {{"rows.jsonl", Pairs([](int i, int j) { return absl::StrCat("{\"anchor\": ", Quoted(Query(i)), ", \"positive\": ", Quoted(Positive(i, j)), ", \"negative\": ", Quoted(Negative(i, j)), "}"); })}},
                 true, "rows.jsonl", R"({"anchor": "a", "positive": 3})", "\"positive\" must be a string, found a number"});
  all.push_back({"sentence_transformers_csv", "sentence-transformers",
                 {{"rows.csv", "anchor,positive,negative\n" + Pairs([](int i, int j) { return absl::StrCat(Query(i), ",\"", Positive(i, j), "\",\"", Negative(i, j), "\""); })}},
                 true, "rows.csv", "a,b", "expected 3 fields as in the header (anchor, positive, negative), found 2"});
  all.push_back({"sentence_transformers_tsv", "sentence-transformers",
                 {{"rows.tsv", "anchor\tpositive\tnegative\n" + Pairs([](int i, int j) { return absl::StrCat(Query(i), "\t", Positive(i, j), "\t", Negative(i, j)); })}},
                 true, "rows.tsv", "a\t\"b\"c\td", "expected the delimiter or the line's end after a closing quote"});
  all.push_back({"dpr", "dpr",
                 {{"nq.json", absl::StrCat("[", absl::StrJoin([] {
                     std::vector<std::string> rows;
                     for (int i = 0; i < kRecords; ++i) {
                       rows.push_back(absl::StrCat("{\"question\": ", Quoted(Query(i)), ", \"answers\": [\"red\"], \"positive_ctxs\": ", Objects(i, true, "passage_id"),
                                                   ", \"negative_ctxs\": [], \"hard_negative_ctxs\": ", Objects(i, false, "passage_id"), "}"));
                     }
                     return rows;
                   }(), ",\n"), "]\n")}},
                 true, "", R"([{"question": "a", "positive_ctxs": [3]}])", "\"positive_ctxs\" must be a list of objects with \"text\", found a number in it"});
  all.push_back({"nemo", "nemo",
                 {{"rows.jsonl", Lines([](int i) { return absl::StrCat("{\"question\": ", Quoted(Query(i)), ", \"pos_doc\": ", Positives(i), ", \"neg_doc\": ", Negatives(i), "}"); })}},
                 true, "rows.jsonl", R"({"query": "a", "pos_doc": [3]})", "\"pos_doc\" must be texts, or objects with \"id\" or \"text\", found a number"});
  const auto messages = [](const std::string& text) { return absl::StrCat("[{\"role\": \"user\", \"content\": ", Quoted(text), "}]"); };
  all.push_back({"ms_swift_messages", "ms-swift",
                 {{"rows.jsonl", Lines([&](int i) {
                     return absl::StrCat("{\"messages\": ", messages(Query(i)), ", \"positive_messages\": ", List(i, [&](int q, int j) { return messages(Positive(q, j)); }),
                                         ", \"negative_messages\": ", List(i, [&](int q, int j) { return messages(Negative(q, j)); }), "}");
                   })}},
                 true, "rows.jsonl", R"({"messages": [], "positive_messages": []})", "\"messages\" must hold messages of one text each"});
  all.push_back({"ms_swift_responses", "ms-swift",
                 {{"rows.jsonl", Pairs([](int i, int j) { return absl::StrCat("{\"query\": ", Quoted(Query(i)), ", \"response\": ", Quoted(Positive(i, j)), ", \"rejected_response\": [", Quoted(Negative(i, j)), "]}"); })}},
                 true, "rows.jsonl", R"({"query": "a", "response": {}})", "\"response\" must be a string or a list of strings, found an object"});
  all.push_back({"contrastors", "contrastors",
                 {{"rows.jsonl", Pairs([](int i, int j) {
                     return absl::StrCat("{\"query\": ", Quoted(Query(i)), ", \"document\": ", Quoted(Positive(i, j)), ", \"negatives\": [", Quoted(Negative(i, j)),
                                         "], \"metadata\": {\"objective\": {\"self\": [], \"paired\": [], \"triplet\": [[\"query\", \"document\", \"negatives\"]]}}}");
                   })}},
                 true, "rows.jsonl", R"({"query": "a", "document": "b", "metadata": {"objective": {"self": [["query"]]}}})", "\"self\""});
  all.push_back({"llamaindex", "llamaindex",
                 {{"dataset.json", [] {
                     std::vector<std::string> queries, corpus, relevant;
                     for (int i = 0; i < kRecords; ++i) {
                       queries.push_back(absl::StrCat("\"k", i, "\": ", Quoted(Query(i))));
                       for (int j = 0; j < Count(i); ++j) {
                         corpus.push_back(absl::StrCat("\"d", i, "-", j, "\": ", Quoted(Positive(i, j))));
                         corpus.push_back(absl::StrCat("\"n", i, "-", j, "\": ", Quoted(Negative(i, j))));
                       }
                       relevant.push_back(absl::StrCat("\"k", i, "\": ", Ids(i, true)));
                     }
                     return absl::StrCat("{\n\"queries\": {", absl::StrJoin(queries, ",\n"), "},\n\"corpus\": {", absl::StrJoin(corpus, ",\n"),
                                         "},\n\"relevant_docs\": {", absl::StrJoin(relevant, ",\n"), "}\n}\n");
                   }()}},
                 false, "", R"({"queries": {"q": "a"}, "corpus": {"d": 3}, "relevant_docs": {"q": ["d"]}})", "\"corpus\" must map ids to texts, found a number of id \"d\""});
  all.push_back({"arctic", "arctic",
                 {{"documents.jsonl", Corpus("DOCUMENT_ID", "DOCUMENT_TEXT")},
                  {"labels.jsonl", [] {
                     std::string lines;
                     for (int i = 0; i < kRecords; ++i) {
                       for (const bool positive : {true, false}) {
                         for (int j = 0; j < Count(i); ++j) {
                           absl::StrAppend(&lines, "{\"QUERY_ID\": \"k", i, "\", \"DOCUMENT_ID\": \"", positive ? "d" : "n", i, "-", j, "\", \"LABEL\": ", positive ? 1 : -1, "}\n");
                         }
                       }
                     }
                     return lines;
                   }()},
                  {"queries.jsonl", Queries("QUERY_ID", "QUERY_TEXT")}},
                 true, "labels.jsonl", R"({"query_id": "k1", "document_id": "d1-0", "label": 2})", "a label must be 1, -1 or 0, found 2"});
  all.push_back({"scored_lists", "scored-lists",
                 {{"rows.jsonl", Pairs([](int i, int j) {
                     return absl::StrCat("{\"query\": ", Quoted(Query(i)), ", \"documents\": [", Quoted(Positive(i, j)), ", ", Quoted(Negative(i, j)), "], \"scores\": [0.9, 0.1]}");
                   })}},
                 true, "rows.jsonl", R"({"query": "a", "documents": ["b"], "scores": [1, 2]})", "\"scores\" must have as many entries as \"documents\", found 2 and 1"});
  all.push_back({"pylate_kd", "pylate-kd",
                 {{"documents.jsonl", Corpus("document_id", "text")},
                  {"queries.jsonl", Queries("query_id", "text")},
                  {"train.jsonl", Pairs([](int i, int j) {
                     return absl::StrCat("{\"query_id\": \"k", i, "\", \"document_ids\": [\"d", i, "-", j, "\", \"n", i, "-", j, "\"], \"scores\": [0.9, 0.1]}");
                   })}},
                 true, "train.jsonl", R"({"query_id": "k1", "document_ids": 3, "scores": [1]})", "\"document_ids\" must be a list of ids, found a number"});
  const auto qrels = [](const std::string& middle, const std::string& separator) {
    return Pairs([&](int i, int j) { return absl::StrCat("k", i, separator, middle, "d", i, "-", j, separator, "1"); });
  };
  all.push_back({"beir", "beir",
                 {{"corpus.jsonl", Corpus("_id", "text")}, {"queries.jsonl", Queries("_id", "text")},
                  {"qrels/train.tsv", "query-id\tcorpus-id\tscore\n" + qrels("", "\t")}},
                 false, "qrels/train.tsv", "k1\td1-0\tgood", "expected a number as score, found \"good\""});
  all.push_back({"trec", "trec",
                 {{"corpus.jsonl", Corpus("docid", "text")}, {"queries.jsonl", Queries("qid", "text")},
                  {"train.qrels", qrels("0 ", " ")}},
                 false, "train.qrels", "k1 0 d1-0", "expected 3 tab-separated fields (query-id, corpus-id, score), or TREC's 4"});
  const auto collection = [] {
    std::string lines;
    for (int i = 0; i < kRecords; ++i) {
      for (int j = 0; j < Count(i); ++j) absl::StrAppend(&lines, "d", i, "-", j, "\t", Positive(i, j), "\nn", i, "-", j, "\t", Negative(i, j), "\n");
    }
    return lines;
  };
  all.push_back({"msmarco", "msmarco",
                 {{"collection.tsv", collection()}, {"queries.train.tsv", Lines([](int i) { return absl::StrCat("k", i, "\t", Query(i)); })},
                  {"qrels.train.tsv", qrels("0\t", "\t")}},
                 false, "qrels.train.tsv", "k1\t0\td1-0\tnan", "expected a finite score, found nan"});
  all.push_back({"msmarco_triples", "msmarco",
                 {{"triples.train.tsv", Pairs([](int i, int j) { return absl::StrCat(Query(i), "\t", Positive(i, j), "\t", Negative(i, j)); })}},
                 true, "triples.train.tsv", "a\tb", "expected 3 tab-separated fields (query, positive, negative), found 2"});
  return all;
}

class Schemas : public testing::TestWithParam<Example> {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "schemas").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<ImportReport> Import(const Files& files, ImportHeader header = {}, size_t piece = 1 << 20) {
    header.set_name("set");
    absl::StatusOr<std::unique_ptr<Importer>> importer = Importer::Create(header, folder_);
    if (!importer.ok()) return importer.status();
    for (const auto& [path, content] : files) {
      if (const absl::Status status = (*importer)->BeginFile(path); !status.ok()) return status;
      for (size_t at = 0; at < content.size(); at += piece) {
        if (const absl::Status status = (*importer)->Chunk(std::string_view(content).substr(at, piece)); !status.ok()) return status;
      }
    }
    return (*importer)->Finish();
  }
  std::shared_ptr<const Dataset> Opened() { return Dataset::Open(folder_).value(); }

  // "query | +positive | -negative" of each judged query, without ids.
  static std::vector<std::string> Canonical(const Dataset& dataset, bool with_negatives) {
    std::vector<std::string> rows;
    for (uint32_t query = 0; query < dataset.queries(); ++query) {
      std::string row(dataset.query_text(query));
      for (const Judgment& judgment : dataset.judgments(0, query)) {
        if (judgment.hard_negative != 0 && !with_negatives) continue;
        absl::StrAppend(&row, judgment.hard_negative != 0 ? " | -" : absl::StrCat(" | +", judgment.grade, " "),
                        std::string(dataset.body(judgment.passage)));
      }
      rows.push_back(row);
    }
    return rows;
  }
  static std::vector<std::string> Expected(bool with_negatives) {
    std::vector<std::string> rows;
    for (int i = 0; i < kRecords; ++i) {
      std::string row = Query(i);
      for (int j = 0; j < Count(i); ++j) absl::StrAppend(&row, " | +1 ", Positive(i, j));
      for (int j = 0; j < Count(i) && with_negatives; ++j) absl::StrAppend(&row, " | -", Negative(i, j));
      rows.push_back(row);
    }
    return rows;
  }
  // Digests of the plans of the first three steps.
  static std::vector<uint64_t> PlanDigests(const Dataset& dataset) {
    PlanInputs inputs;
    inputs.dataset = &dataset;
    inputs.rules.seed = 7;
    inputs.rules.negatives_per_query = 1;
    inputs.queries = SelectableQueries(dataset, 0, inputs.rules);
    inputs.batch = 4;
    inputs.identity = dataset.content_digest();
    std::vector<uint64_t> digests;
    for (uint64_t step = 0; step < 3; ++step) digests.push_back(PlanStep(inputs, step).digest);
    return digests;
  }

  std::filesystem::path folder_;
};

TEST_P(Schemas, AreRecognizedAndHoldTheSameRecords) {
  const Example& example = GetParam();
  for (const bool named : {false, true}) {
    ImportHeader header;
    if (named) header.set_schema(example.schema);
    const auto report = Import(example.files, header, 7);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->schema(), example.schema);
    EXPECT_EQ(report->bad_records(), 0u);
    ASSERT_EQ(report->dataset().splits_size(), 1);
    EXPECT_EQ(report->dataset().splits(0).name(), "train");
    EXPECT_EQ(Canonical(*Opened(), example.has_negatives), Expected(example.has_negatives));
  }
}

TEST_P(Schemas, OfTheSameRecordsHaveTheSamePlans) {
  const std::vector<Example> all = Examples();
  const auto reference = std::find_if(all.begin(), all.end(), [](const Example& e) { return e.has_negatives == GetParam().has_negatives; });
  ASSERT_TRUE(Import(reference->files).ok());
  const std::vector<uint64_t> expected = PlanDigests(*Opened());
  ASSERT_TRUE(Import(GetParam().files).ok());
  EXPECT_EQ(PlanDigests(*Opened()), expected);
}

TEST_P(Schemas, NameABadRecordByItsPlace) {
  const Example& example = GetParam();
  Files files = example.files;
  ImportHeader header;
  header.set_schema(example.schema);
  uint64_t line = 1;
  if (example.bad_file.empty()) {  // the whole file is one record
    files.back().second = example.bad_line;
  } else {
    auto& content = std::find_if(files.begin(), files.end(), [&](const auto& file) { return file.first == example.bad_file; })->second;
    line = static_cast<uint64_t>(std::count(content.begin(), content.end(), '\n')) + 1;
    content += example.bad_line + "\n";
  }
  const std::string message(Import(files, header).status().message());
  EXPECT_THAT(message, HasSubstr(example.message));
  EXPECT_THAT(message, HasSubstr(absl::StrCat(example.bad_file.empty() ? files.back().first : example.bad_file, ":", line, ": ")));
  if (example.bad_file.empty()) return;
  header.set_skip_bad(1);
  const auto report = Import(files, header);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->bad_records(), 1u);
  EXPECT_EQ(Canonical(*Opened(), example.has_negatives), Expected(example.has_negatives));
}

INSTANTIATE_TEST_SUITE_P(All, Schemas, testing::ValuesIn(Examples()), [](const auto& info) { return info.param.name; });

TEST(SchemaNames, AreAllShownByAnExample) {
  std::set<std::string> shown;
  for (const Example& example : Examples()) shown.insert(example.schema);
  const std::vector<std::string> names = SchemaNames();
  EXPECT_EQ(shown, std::set<std::string>(names.begin(), names.end()));
}

}  // namespace
}  // namespace muster
